"""Writes into a new file that only its owner can read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from watchword.errors import ConfigurationError


def write_new(path: Path, content: bytes) -> None:
    """Create the file with mode 0600, whatever the umask is, and write it whole.

    Raises:
        ConfigurationError: something stands there already, which is never overwritten, or it cannot be made.
    """
    with new_file(path) as file:
        file.write(content)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Create the file likewise for the time of a `with`; behind it what was written is durable.

    Raises:
        ConfigurationError: as above.
    """
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ConfigurationError(
            f"{path}: expected a new file, found one; a secret is never overwritten"
        ) from None
    except OSError as error:
        path_reason = (error.strerror or "unknown error").lower()
        raise ConfigurationError(f"{path}: cannot be written: {path_reason}") from None
