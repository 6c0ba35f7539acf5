"""How a command asks for an operation: with the settings of the server, and one answer for both ways."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchword.errors import ConfigurationError

if TYPE_CHECKING:
    import msgspec

    from watchword.app.config import ServerSettings


def is_setting(name: str, path: Path) -> bool:
    """Tell whether this is the file that a setting of the server names."""
    from watchword.app.setting_source import SettingSource  # noqa: PLC0415

    named = SettingSource(os.environ, Path.cwd()).path(name)
    return named is not None and named.resolve() == path.resolve()


def ask(name: str, request: "msgspec.Struct") -> dict[str, Any]:
    """Have an operation carried out by the running server, or without one; return what it tells.

    Raises:
        ConfigurationError: the settings are wrong, or an extra is not installed.
        WatchwordError: why it was not done.
    """
    found = settings()
    from watchword.app.administer import administer  # noqa: PLC0415

    return administer(found, name, request)


def begin() -> None:
    """Do what must be done before a command makes a file: it may have to begin this process anew.

    Raises:
        ConfigurationError: the settings are wrong, or an extra is not installed.
    """
    found = settings()
    from watchword.app import administer  # noqa: PLC0415

    administer.begin(found)


def settings() -> "ServerSettings":
    """Return the settings of the server.

    Raises:
        ConfigurationError: they are wrong, or an extra is not installed.
    """
    try:
        from watchword.app import administer  # noqa: F401, PLC0415  # loads what the SDK does not bring
        from watchword.app.config import ServerSettings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("watchword"):
            raise
        raise ConfigurationError(
            f"administration needs {error.name}, which an extra brings: pip install 'watchword[server]'"
        ) from None
    return ServerSettings.load(os.environ, folder=Path.cwd())
