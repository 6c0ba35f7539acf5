"""A trust document as `trust.toml` would say it: what is in force, in the form that people review."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from watchword.trust.canonical import to_tables
from watchword.trust.model import TrustDocument

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(document: TrustDocument) -> str:
    """Return TOML that reads as this document, with every default written out and keys inside."""
    tables = to_tables(document)
    lines = [f"version = {tables['version']}"]
    for kind in ("services", "issuers"):
        for name, table in tables[kind].items():
            place = f"{kind}.{_key(name)}"
            lines += ["", f"[{place}]", *toml_lines(table, leave_out="allow")]
            for rule in table.get("allow", ()):
                lines += ["", f"[[{place}.allow]]", *toml_lines(rule)]
    return "\n".join(lines) + "\n"


def toml_lines(table: Mapping[str, Any], *, leave_out: str | None = None) -> Iterator[str]:
    """Yield one line of TOML per key."""
    for name, value in table.items():
        if name != leave_out:
            yield f"{_key(name)} = {toml_value(value)}"


def toml_value(value: Any) -> str:
    """Return a value as TOML on one line."""
    match value:
        case str():
            # JSON's escapes are TOML's too, but for the one control character that JSON lets through
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case Mapping():
            return f"{{ {', '.join(toml_lines(value))} }}" if value else "{}"
        case _:
            return json.dumps(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_value(name)
