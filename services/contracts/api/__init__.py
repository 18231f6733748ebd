"""The HTTP edge of contracts."""
