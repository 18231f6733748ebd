"""Real servers for tests: PostgreSQL, Kafka, SMTP and restic, found on this machine and started when asked for."""
