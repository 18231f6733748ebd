"""One function per story."""
