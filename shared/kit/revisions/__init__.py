"""Frozen migration steps of the kit's tables, called by each service's numbered revisions."""
