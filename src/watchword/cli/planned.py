"""How a plan is printed: a line per change, with the sign that diffs have."""

from collections.abc import Iterator, Mapping
from typing import Any

from watchword.cli.output import say
from watchword.trust.toml_form import toml_lines, toml_value

_SIGNS = {"add": "+", "remove": "-", "change": "~"}


def tell_plan(told: Mapping[str, Any]) -> None:
    """Print warnings and changes of a plan, or that there is none."""
    for warning in told["warnings"]:
        say(f"warning: {warning}")
    for change in told["changes"]:
        sign = _SIGNS[change["action"]]
        for number, line in enumerate(_lines(change)):
            say(f"{sign} {line}" if number == 0 else f"{sign}   {line}")
    if not told["changes"]:
        say(f"nothing would change: digest {told['digest']} is in force")


def _lines(change: Mapping[str, Any]) -> Iterator[str]:
    what, place, before, after = (change[name] for name in ("what", "place", "before", "after"))
    value = before if change["action"] == "remove" else after
    if what == "rule":
        yield f"[[{place}]]"
        yield from toml_lines(value)
    elif what == "table":
        yield f"[{place}]"
        yield from toml_lines({name: _shown(entry) for name, entry in value.items()}, leave_out="allow")
        for rule in value.get("allow", ()):
            yield f"[[{place}.allow]]"
            yield from toml_lines(rule)
    elif change["action"] == "change":
        yield f"{place}: {_value(before)} -> {_value(after)}"
    else:
        yield f"{place} = {_value(value)}"


def _value(value: Any) -> str:
    return toml_value(_shown(value))


def _shown(value: Any) -> Any:
    """Return a value as it can be reviewed: of a key set its kids."""
    if isinstance(value, Mapping) and isinstance(value.get("keys"), list):
        return {"keys": [key.get("kid", "?") for key in value["keys"]]}
    return value
