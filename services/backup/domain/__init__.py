"""What the backup service decides, as plain Python."""
