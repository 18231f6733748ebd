"""The default: all four services, their workers and the event log in one process on SQLite."""
