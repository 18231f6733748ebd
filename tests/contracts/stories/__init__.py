"""A story per clause of the agreement: given, when, then, clause."""
