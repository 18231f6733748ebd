"""What keeps the key of the vault."""
