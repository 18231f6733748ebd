"""The rules of the agreement, as plain values and functions; time is passed in."""
