"""The backup service: keeps restorable copies of the servers of registered services (clause 2.2)."""
