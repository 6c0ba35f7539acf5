"""Every type of event there is: what it means and what it tells. One that is not here cannot be written."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from watchword.audit.event import AuditEvent

ALWAYS = frozenset({"type", "time", "outcome"})
"""What every event tells."""


class EventType(NamedTuple):
    """One type of event."""

    members: frozenset[str]
    """What it may tell besides `ALWAYS`; what is not known is absent."""
    meaning: str


def _type(members: str, meaning: str) -> EventType:
    return EventType(frozenset(members.split()), meaning)


_TOKEN = "client subject audience jti txn kid reason request_id"

EVENT_TYPES: Mapping[str, EventType] = MappingProxyType(
    {
        "token.issued": _type(_TOKEN, "a service got a token in its own name; `reason` is the rule"),
        "token.exchanged": _type(
            f"{_TOKEN} actor parent_jti",
            "a service got a token to act for somebody; `reason` is the rule, and which scopes it derived",
        ),
        "token.refused": _type(
            "actor client subject audience parent_jti txn reason request_id",
            "a client that proved who it is did not get a token; `reason` is the code and why",
        ),
        "token.introspected": _type(
            _TOKEN, "a service asked about a token; refused: it learned only that the token is not active"
        ),
        "token.passed_through": _type(
            "client subject audience jti txn kid",
            "a service sent the token of its caller on, which `insecure_pass_through` allows",
        ),
        "key.prepared": _type("actor kid", "a new signing key is published and does not sign yet"),
        "key.activated": _type("actor kid", "a signing key signs from now on"),
        "key.retired": _type("actor kid", "a signing key has stopped signing and still verifies"),
        "key.revoked": _type("actor kid", "a signing key is trusted no longer"),
        "key.removed": _type("actor kid", "a signing key that no token needs is gone"),
        "key.discarded": _type("actor kid", "a signing key that never signed is gone"),
        "key.exported": _type("actor kid", "a private signing key is about to leave, sealed in a file"),
        "keyring.resealed": _type(
            "actor reason", "every signing key is sealed anew; `reason` is the name of the sealing key"
        ),
        "trust.applied": _type("actor reason", "a trust document is in force; `reason` is its digest"),
        "client.added": _type(
            "actor client reason", "credentials of a client are registered; `reason` is the kind"
        ),
        "client.secret_rotated": _type(
            "actor client reason", "a client has a new secret; `reason` says until when the old one is valid"
        ),
        "client.keys_set": _type(
            "actor client reason", "a client has other keys; `reason` says until when the old ones are valid"
        ),
        "client.disabled": _type("actor client", "a client is refused, and so are its tokens here"),
        "client.enabled": _type("actor client", "a client is no longer disabled"),
        "client.removed": _type("actor client", "the registered credentials of a client are gone"),
        "operation.requested": _type(
            "actor client kid reason", "an operator asked for what cannot be taken back, before it is done"
        ),
        "operation.refused": _type(
            "actor client kid reason", "an operator asked for something that was not done; `reason` is why"
        ),
        "audit.broken": _type(
            "reason", "at the start the last checkpoint does not fit the events: somebody changed them"
        ),
        "store.restored": _type("reason", "the database is older than its folder: a copy was put back"),
    }
)


def demand_known(event: AuditEvent) -> None:
    """Return if there is such a type of event.

    Raises:
        ValueError: there is not; a mistake in our own code.
    """
    if event.type not in EVENT_TYPES:
        raise ValueError(
            f"expected a type of watchword.audit.event_types, found {event.type!a:.64}: add it there"
            " and to docs/reference/events.md"
        )


def surplus(event: AuditEvent) -> frozenset[str]:
    """Return which members the event has that its type does not know."""
    told = {name for name in event.__struct_fields__ if getattr(event, name) is not None}
    return frozenset(told - ALWAYS - EVENT_TYPES[event.type].members)
