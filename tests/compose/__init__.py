"""`make test-compose`: the company under Docker Compose, its containers killed one by one; it needs only Docker."""
