"""One function per story: load, ask the domain, announce, return."""
