"""Every error spotd raises on purpose; the docstring is the default message."""


class SpotdError(Exception):
    """Something spotd could not do."""

    code: str = "error"
    retryable: bool = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidInput(SpotdError):
    """A value was refused."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFound(SpotdError):
    """There is no such thing."""

    code = "not_found"


class Conflict(SpotdError):
    """The change contradicts what is stored."""

    code = "conflict"


class StoreUnavailable(SpotdError):
    """The database could not be reached or is busy; the same call may succeed later."""

    code = "store_unavailable"
    retryable = True


class SchemaTooNew(SpotdError):
    """The database was written by a newer spotd; downgrading is not supported."""

    code = "schema_too_new"


class StateInUse(SpotdError):
    """Another daemon uses this state directory."""

    code = "state_in_use"


class WrongKey(SpotdError):
    """The master key does not open what is stored."""

    code = "wrong_key"
