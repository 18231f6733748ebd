"""Evidence: what others tell of a contract is kept, and all that is on record leaves as one signed bundle."""
