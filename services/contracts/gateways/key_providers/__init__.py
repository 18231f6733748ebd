"""Providers of the key that wraps the vault's data keys: a file, or the transit engine of HashiCorp Vault."""
