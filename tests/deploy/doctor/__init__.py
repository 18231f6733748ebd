"""The doctor against broken installations, each with its one finding, and against healthy ones."""
