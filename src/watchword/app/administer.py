"""One way to an operation: the running server if there is one, else the data folder itself."""

import sys
from typing import Any

import msgspec

from watchword.app.admin_client import NobodyListens, perform_at
from watchword.app.config import ServerSettings
from watchword.app.offline import perform_offline
from watchword.app.sealing import leave_environment
from watchword.errors import DataFolderInUse, OperatorUnreachable


def administer(settings: ServerSettings, name: str, request: msgspec.Struct) -> dict[str, Any]:
    """Carry out an operation and return what it tells, as JSON values.

    Args:
        settings: those of the server: they say where its socket and its data folder are.
        name: of the operation, as in `keys.show`.
        request: of the operation's type.

    Raises:
        OperatorUnreachable: a server holds the folder and does not answer at its socket.
        OperationRefused: the running server said no.
        WatchwordError: without a server, why it was not done.
    """
    body = msgspec.json.encode(request)
    try:
        return perform_at(settings.operators_socket, name, body)
    except NobodyListens:
        pass
    leave_environment(settings.seal, sys.orig_argv, sys.executable)
    try:
        return perform_offline(settings, name, body)
    except DataFolderInUse as error:
        raise OperatorUnreachable(
            f"process {error.holder} holds the data folder {settings.data_folder}, but nobody answers at"
            f" {settings.operators_socket}: if it has another WATCHWORD_ADMIN_SOCKET, set the same here;"
            " if it starts or stops just now, try again"
        ) from None
