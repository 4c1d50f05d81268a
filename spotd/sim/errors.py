"""What the simulated AWS answers when it refuses."""


class ServiceError(Exception):
    """An AWS error answer: its code, its HTTP status and its message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
