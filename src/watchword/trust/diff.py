"""What differs between two trust documents, table by table and key by key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from watchword.tokens import strict_json
from watchword.trust.canonical import to_tables
from watchword.trust.model import TrustDocument
from watchword.trust.problems import below

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is in one document and not in the other."""

    action: Literal["add", "remove", "change"]
    what: Literal["table", "rule", "key"]
    place: str
    """`services.users` of a table, `services.users.allow` of a rule, `services.users.scopes` of a key."""
    before: Any = None
    """As the document's own JSON form has it; `None` where there was nothing."""
    after: Any = None


def differences(old: TrustDocument, new: TrustDocument) -> tuple[Difference, ...]:
    """Return what must happen to `old` to make `new` of it; nothing if they say the same."""
    before, after = to_tables(old), to_tables(new)
    return tuple(
        found for kind in ("services", "issuers") for found in _tables(before[kind], after[kind], kind)
    )


def _tables(before: Mapping[str, Table], after: Mapping[str, Table], kind: str) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        place = below(kind, name)
        if name not in after:
            yield Difference("remove", "table", place, before=before[name])
        elif name not in before:
            yield Difference("add", "table", place, after=after[name])
        else:
            yield from _keys(before[name], after[name], place)


def _keys(before: Table, after: Table, place: str) -> Iterator[Difference]:
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        here = below(place, key)
        if key == "allow":
            yield from _rules(old or [], new or [], here)
        else:
            action: Literal["add", "remove", "change"] = "change"
            if old is None or new is None:
                action = "add" if old is None else "remove"
            yield Difference(action, "key", here, old, new)


def _rules(before: Sequence[Table], after: Sequence[Table], place: str) -> Iterator[Difference]:
    """Yield rules that went and came: a rule has no name, so one that changed is one of each."""
    left = [strict_json.encode(rule) for rule in after]
    gone = []
    for rule in before:
        text = strict_json.encode(rule)
        if text in left:
            left.remove(text)
        else:
            gone.append(rule)
    for rule in gone:
        yield Difference("remove", "rule", place, before=rule)
    came = [rule for rule in after if strict_json.encode(rule) in left]
    for rule in came:
        yield Difference("add", "rule", place, after=rule)
    if not gone and not came:
        yield Difference("change", "key", place, "its rules", "the same rules in another order")
