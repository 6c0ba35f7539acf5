"""The people of users-service: who they are, and whether a password is theirs."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import argon2
from argon2.exceptions import VerificationError


@dataclass(frozen=True, slots=True)
class Person:
    user_id: str
    name: str
    roles: tuple[str, ...] = ()
    password: str | None = None  # argon2id; people without one cannot sign in here


PEOPLE = {
    row["user_id"]: Person(**row | {"roles": tuple(row.get("roles", ()))})
    for row in json.loads((Path(__file__).parent / "people.json").read_text(encoding="utf-8"))
}

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NOBODY = _HASHER.hash(secrets.token_urlsafe())  # an unknown name must take as long as a wrong password


def sign_in(user_id: str, password: str) -> Person | None:
    """Return the person if the password is theirs; one answer for a wrong name and a wrong password."""
    person = PEOPLE.get(user_id)
    try:
        _HASHER.verify(person.password if person and person.password else _NOBODY, password)
    except VerificationError:
        return None
    return person
