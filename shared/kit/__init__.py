"""The wiring every service needs once: database, HTTP edge, callers, timers, audit trail, bus."""
