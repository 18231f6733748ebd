"""Every service as processes of its own: its API, its workers, the front before them, and a supervisor."""
