"""One way to an operation: the running server if there is one, else the data folder itself."""

import sys
from typing import Any

import msgspec

from watchword.app.admin_client import NobodyListens, is_there, perform_at
from watchword.app.config import ServerSettings
from watchword.app.offline import perform_offline
from watchword.app.sealing import leave_environment, read_before_forks
from watchword.errors import DataFolderInUse, OperatorUnreachable


def begin(settings: ServerSettings) -> None:
    """Do what must be done before a command leaves anything behind: it may have to begin this process anew.

    Raises:
        SealingKeyUnusable: the environment does not hold the sealing key that it should.
    """
    if not is_there(settings.operators_socket):
        leave_environment(settings.seal, sys.orig_argv, sys.executable)


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
    read_before_forks(settings.seal)  # before this process opens anything: a number could mean that then
    try:
        return perform_offline(settings, name, body)
    except DataFolderInUse as error:
        raise OperatorUnreachable(
            f"process {error.holder} holds the data folder {settings.data_folder}, but nobody answers at"
            f" {settings.operators_socket}: if it has another WATCHWORD_ADMIN_SOCKET, set the same here;"
            " if it starts or stops just now, try again"
        ) from None
