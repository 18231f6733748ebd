"""The rules of contracts, without a database."""
