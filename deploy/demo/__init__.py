"""The demonstration: one contract's term on a virtual clock, played against running HTTP APIs only."""
