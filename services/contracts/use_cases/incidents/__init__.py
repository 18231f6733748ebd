"""Incidents: reported, their cause determined, recovery logged, decided and appealed against."""
