"""The `mainstay` command."""
