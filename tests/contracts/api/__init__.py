"""The edge of contracts."""
