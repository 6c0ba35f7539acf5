"""What an operator asked for and did not get."""

from collections.abc import Sequence

from watchword.errors.root import Problems, WatchwordError


class AdministrationError(WatchwordError):
    """An administrative operation was not carried out; nothing changed."""

    code = "administration_error"


class OperationInvalid(AdministrationError):
    """No such operation, or a request that is not what the operation takes."""

    code = "operation_invalid"


class ConfirmationRequired(AdministrationError):
    """An operation takes hold at once, and what it is about was not named a second time."""

    code = "confirmation_required"


class ChangedMeanwhile(AdministrationError):
    """Somebody else changed it since it was looked at; look again and decide anew."""

    code = "changed_meanwhile"


class RegistrationRefused(AdministrationError):
    """Credentials of a client that cannot be registered like this; each service has them from one source."""

    code = "registration_refused"


class OperatorUnreachable(AdministrationError):
    """A server holds the data folder, and its operator's socket does not answer."""

    code = "operator_unreachable"


class OperationRefused(Problems):
    """What a running server said to an operation; `refusal` is the code that it gave."""

    code = "operation_refused"

    def __init__(self, refusal: str, problems: Sequence[str], *, usage: bool = False) -> None:
        self.refusal = refusal
        self.usage = usage
        """What was given is at fault, not the moment."""
        super().__init__(problems)
