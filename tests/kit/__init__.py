"""Stories of the kit on a throw-away service, on SQLite and PostgreSQL alike."""
