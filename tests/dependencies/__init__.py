"""Known vulnerabilities of what is installed: the lock files against an advisory database."""
