"""Stories of contracts over HTTP and events, on SQLite and PostgreSQL."""
