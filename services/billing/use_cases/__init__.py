"""The stories of billing: load, ask the domain, announce."""
