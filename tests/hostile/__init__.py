"""Callers who mean harm, or err thoroughly: what they may do, send, hold open and race for."""
