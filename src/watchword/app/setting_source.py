"""Where settings come from: the environment, then `watchword.toml`; each may stand in a file of its own."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchword.app.settings_table import FILE, OF_SERVICES, OF_THE_PROCESS, PREFIX, SETTINGS

# Kubernetes puts these into every container beside a service that is called `watchword`
_SERVICE_LINK = re.compile(r"SERVICE_(HOST|PORT.*)|PORT(_.*)?")

_LONGEST_FILE = 65_536


class SettingSource:
    """Reads texts and collects what is wrong with them; what they mean is not its matter.

    Args:
        environ: the environment.
        folder: where `watchword.toml` may stand, and what relative paths start from.
    """

    __slots__ = ("_environ", "_file", "folder", "problems", "warnings")

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._environ = {
            name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)
        }
        self._file = self._read_toml(folder / FILE)
        self._judge_names()

    def text(self, name: str) -> str | None:
        """Return the text of a setting without blanks around it; `None` if it is not set, or to nothing."""
        own, pointer = self._environ.get(name), self._environ.get(f"{name}_FILE")
        if own is None and pointer is None:
            own, pointer = self._file.get(name.lower()), self._file.get(f"{name.lower()}_file")
        if own is not None and pointer is not None:
            self.wrong(name, f"expected it once, found {PREFIX}{name}_FILE too")
            return None
        text = own if pointer is None else self._content(name, pointer)
        return (text.strip() or None) if text is not None else None

    def path(self, name: str) -> Path | None:
        """Return the path that a setting names, absolute."""
        text = self.text(name)
        return None if text is None else self.folder / Path(text).expanduser()

    def wrong(self, name: str, problem: str) -> None:
        """Note a mistake: what was expected, and what was found."""
        self.problems.append(f"{PREFIX}{name}: {problem}")

    def _content(self, name: str, place: str) -> str | None:
        path = self.folder / place
        try:
            with path.open(encoding="utf-8") as file:
                return file.read(_LONGEST_FILE)
        except (OSError, ValueError) as error:
            self.wrong(f"{name}_FILE", f"expected a readable text file, found {place}: {reason(error)}")
            return None

    def _read_toml(self, path: Path) -> dict[str, str]:
        try:
            members: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self.problems.append(f"{path.name}: expected TOML, found {reason(error)}")
            return {}
        texts = {}
        for name, value in members.items():
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                if name.upper() not in OF_SERVICES:
                    self.problems.append(f"{path.name}: {name}: expected text or a number")
            else:
                texts[name] = str(value)
        return texts

    def _judge_names(self) -> None:
        own = [setting.name for setting in SETTINGS]
        known = {*own, *OF_SERVICES}
        known |= {f"{name}_FILE" for name in known}
        for name in (*self._environ, *(name.upper() for name in self._file)):
            in_file = name.lower() in self._file and name not in self._environ
            shown = f"{FILE}: {name.lower()}" if in_file else f"{PREFIX}{name}"
            if name in known or name.startswith("URL_") or (name in OF_THE_PROCESS and not in_file):
                continue
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
            if close:
                meant = close[0].lower() if in_file else PREFIX + close[0]
                self.problems.append(f"{shown}: there is no such setting; did you mean {meant}?")
            elif in_file:
                self.problems.append(
                    f"{shown}: there is no such setting; there are {', '.join(sorted(own)).lower()}"
                )
            elif not _SERVICE_LINK.fullmatch(name):
                self.warnings.append(f"{shown}: there is no such setting; it has no effect")


def reason(error: OSError | ValueError) -> str:
    """Return why a file cannot be used, in words and without its content."""
    if isinstance(error, OSError):
        return (error.strerror or "an unknown error").lower()
    if isinstance(error, tomllib.TOMLDecodeError):
        return f"a mistake: {str(error)[:120]}"
    return "text that is not UTF-8"
