"""What a decoded token says, in plain words: who, for whom, on whose behalf, until when."""

import datetime
from collections.abc import Mapping
from typing import Any

_MOST_ACTORS = 32


def in_words(header: Mapping[str, Any], claims: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return label and text of each thing that the token says; `now` in seconds since the epoch.

    The token may be anybody's: any claim may be missing or of any type.
    """
    chain = _actors(claims)
    told = {
        "who": _text(claims.get("sub")),
        "for whom": _text(claims.get("aud")),
        "may": _text(claims.get("scope")),
        "roles": _text(claims.get("roles")),
        "on behalf": " for ".join([*chain, _text(claims.get("sub"))]) if chain else "",
        "asked by": _text(claims.get("client_id")),
        "issued by": _text(claims.get("iss")),
        "issued": _moment(claims.get("iat"), now),
        "until": _moment(claims.get("exp"), now) or "for ever: it has no exp",
        "signed by": f"key {_text(header.get('kid')) or '?'} ({_text(header.get('alg')) or 'no alg'})",
        "type": _text(header.get("typ")),
        "story": _text(claims.get("txn")),
        "session": _text(claims.get("sid")),
        "token id": _text(claims.get("jti")),
    }
    return {label: text for label, text in told.items() if text}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return "" if value is None else str(value)


def _actors(claims: Mapping[str, Any]) -> list[str]:
    chain: list[str] = []
    actor = claims.get("act")
    while isinstance(actor, dict) and len(chain) < _MOST_ACTORS:
        chain.append(_text(actor.get("sub")) or "somebody")
        actor = actor.get("act")
    return chain


def _moment(value: object, now: float) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _text(value)
    try:
        moment = datetime.datetime.fromtimestamp(value, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{value}, which is no date"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {_distance(value - now)}"


def _distance(seconds: float) -> str:
    size = abs(seconds)
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if size >= 2 * length:
            text = f"{size / length:.0f} {unit}"
            break
    else:
        text = f"{size:.0f} s"
    return f"in {text}" if seconds > 0 else f"{text} ago"
