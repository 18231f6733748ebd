"""What operators are shown and woken by."""
