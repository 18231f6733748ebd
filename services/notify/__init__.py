"""Notices to customers with proof of their delivery, and the facts that linked partners may read."""
