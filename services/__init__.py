"""The four services; each owns one business and is a stranger to the others."""
