"""Rows to domain objects and back, and the published folders of agreements and catalogue."""
