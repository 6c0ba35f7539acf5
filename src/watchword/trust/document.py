"""`trust.toml`: read as a whole or not at all, with every mistake at once."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchword.errors import TrustError
from watchword.trust.canonical import digest, to_json
from watchword.trust.checked import checked, from_json
from watchword.trust.model import TrustDocument
from watchword.trust.warnings import warnings

__all__ = ["EMPTY", "MAX_DOCUMENT", "digest", "from_json", "parse", "read", "to_json", "warnings"]

EMPTY = TrustDocument()
"""Nobody is trusted, everything is denied."""

MAX_DOCUMENT = 16 * 1024 * 1024
"""Bytes: room for ten thousand services with their keys."""

_POSITION = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", re.DOTALL)


def read(path: Path) -> TrustDocument:
    """Read the document from its file; key files are looked for beside it.

    Raises:
        TrustError: every mistake, each with its table and key.
    """
    try:
        if path.is_dir():
            raise TrustError(f"{path.name}: expected a file, found a folder")
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise TrustError(
            f"{path.name}: expected a readable file: {(error.strerror or 'error').lower()}"
        ) from None
    if len(content) > MAX_DOCUMENT:
        raise TrustError(f"{path.name}: expected at most {MAX_DOCUMENT // 1024 // 1024} MiB")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TrustError(f"line {line}: expected UTF-8, found a byte that is none") from None
    return parse(text.removeprefix("\ufeff"), folder=path.parent)


def parse(text: str, *, folder: Path) -> TrustDocument:
    """Read the document from its text; `folder` is where its key files are looked for.

    Raises:
        TrustError: every mistake, each with its table and key.
    """
    return checked(_toml(text), folder)


def _toml(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.fullmatch(str(error))
        what = str(error) if match is None else match["what"]
        line = (match and match["line"]) or text.count("\n") + 1
        raise TrustError(f"line {line}: expected TOML: {what[:1].lower()}{what[1:200]}") from None
    except RecursionError:
        raise TrustError("expected TOML, found tables or arrays nested too deeply") from None
    except ValueError:  # a number or date beyond what Python can hold
        raise TrustError("expected TOML, found a number or date out of range") from None
