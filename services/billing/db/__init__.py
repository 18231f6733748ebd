"""Tables, rows to domain objects and back, and the files of evidence."""
