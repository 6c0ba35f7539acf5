"""One flag that says: this server is going away."""


class StopSign:
    """Raised once, never lowered. Readiness and the last answer on each connection look at it."""

    __slots__ = ("raised",)

    def __init__(self) -> None:
        self.raised = False
