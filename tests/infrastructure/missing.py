"""The one way to say that the machine lacks something, and how to get it."""


class Missing(Exception):
    """Something a test needs is not on this machine."""

    def __init__(self, reason: str, *, how_to_get_it: str) -> None:
        super().__init__(f"{reason} ({how_to_get_it})")
