"""What is allowed and what follows, in plain Python."""
