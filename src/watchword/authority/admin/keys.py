"""The operator's hand on the signing keys; by themselves they change as the planner says."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from watchword.authority.admin.key_view import show
from watchword.authority.admin.operation import (
    AdminContext,
    Name,
    Nothing,
    Operation,
    Request,
    demand_confirmation,
)
from watchword.errors import KeyUnknown
from watchword.keys.by_hand import Unready, activated, ready_at, retired, revoked
from watchword.keys.keyring import Keyring, KeyState
from watchword.tokens.private_key import PrivateKey


class PreparedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The new key, and when it may sign."""

    kid: str
    algorithm: str
    ready_at: float


async def prepare(context: AdminContext, _: Nothing, operator: str) -> PreparedKey:
    """Publish a new key; it does not sign before every verifier has it."""
    (fresh,) = await _fresh(context, 1)
    now = context.clock.now()
    await _change(context, lambda keyring: keyring.prepare(fresh, now), operator)
    return PreparedKey(kid=fresh.kid, algorithm=fresh.alg, ready_at=now + context.policy.publish_for)


class NamedKey(Request, frozen=True, kw_only=True):
    """One key."""

    kid: Name


class ChangedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs after a change."""

    kid: str
    """The key that was named."""
    state: str | None
    """Where it is now; `None`: it is gone."""
    signs: str | None
    """The key that signs now; `None`: no token can be issued."""
    issuing_from: float | None = None
    """Without one that signs: when the next one may."""


async def activate(context: AdminContext, request: NamedKey, operator: str) -> ChangedKeys:
    """Let a prepared key sign, if it is published long enough; the one that signed retires."""
    now = context.clock.now()
    await _change(context, lambda keyring: activated(keyring, request.kid, context.policy, now), operator)
    return _told(context, request.kid)


class RetireKey(Request, frozen=True, kw_only=True):
    """One key, named twice."""

    kid: Name
    confirm: str | None = None


async def retire(context: AdminContext, request: RetireKey, operator: str) -> ChangedKeys:
    """Let a key sign no more: the reserve takes over; a prepared key is gone."""
    demand_confirmation(request.kid, request.confirm)
    now = context.clock.now()
    await _change(context, lambda keyring: retired(keyring, request.kid, context.policy, now), operator)
    return _told(context, request.kid)


class RevokeKey(Request, frozen=True, kw_only=True):
    """One key, named twice, and what happens if nobody could sign after it."""

    kid: Name
    confirm: str | None = None
    unready: Unready = Unready.REFUSE


class RevokedKey(ChangedKeys, frozen=True, kw_only=True):
    """What a revocation did, and what it cannot do."""

    live_tokens: int
    """How many tokens it had signed that had not expired: all of them are refused here from now on."""
    cached_for: float
    """Seconds for which a verifier that caches the key set may accept its tokens yet."""
    unpublished: bool
    """The key that signs now may be missing at verifiers, for as long."""


async def revoke(context: AdminContext, request: RevokeKey, operator: str) -> RevokedKey:
    """Stop trusting a key at once; another one signs, and one is in reserve."""
    demand_confirmation(request.kid, request.confirm)
    fresh = await _fresh(context, 2)
    now = context.clock.now()
    live = (await context.ledger.live_tokens(now)).get(request.kid, 0)
    before = {entry.kid: ready_at(entry, context.policy) for entry in context.issuer.keyring.entries}

    def step(keyring: Keyring) -> Keyring:
        return revoked(keyring, request.kid, context.policy, now, fresh=fresh, unready=request.unready)

    signed = _signs(context.issuer.keyring)
    await _change(context, step, operator)
    told = _told(context, request.kid)
    return RevokedKey(
        kid=told.kid,
        state=told.state,
        signs=told.signs,
        issuing_from=told.issuing_from,
        live_tokens=live,
        cached_for=context.policy.cached_for,
        unpublished=told.signs not in (None, signed) and before.get(told.signs or "", now + 1) > now,
    )


async def _fresh(context: AdminContext, number: int) -> list[PrivateKey]:
    # an RSA key takes its time: not on the event loop
    algorithm = context.policy.algorithm
    return [await asyncio.to_thread(PrivateKey.generate, algorithm) for _ in range(number)]


async def _change(context: AdminContext, step: Callable[[Keyring], Keyring], operator: str) -> None:
    """Save what `step` makes of the keyring; what became of every key is in the audit with it."""
    try:
        # files are written: not on the event loop
        await asyncio.to_thread(context.issuer.change_keys, step, by=operator)
    except KeyUnknown:
        raise KeyUnknown("no key has this kid: watchword keys show lists them all") from None


def _signs(keyring: Keyring) -> str | None:
    return next((entry.kid for entry in keyring.entries if entry.state is KeyState.ACTIVE), None)


def _told(context: AdminContext, kid: str) -> ChangedKeys:
    keyring = context.issuer.keyring
    signs = _signs(keyring)
    waiting = [
        ready_at(entry, context.policy) for entry in keyring.entries if entry.state is KeyState.PREPARED
    ]
    return ChangedKeys(
        kid=kid,
        state=next((entry.state.value for entry in keyring.entries if entry.kid == kid), None),
        signs=signs,
        issuing_from=min(waiting, default=None) if signs is None else None,
    )


OPERATIONS: Mapping[str, Operation] = {
    "keys.show": Operation(Nothing, show),
    "keys.prepare": Operation(Nothing, prepare, changes=True, announced=True),
    "keys.activate": Operation(NamedKey, activate, changes=True, announced=True),
    "keys.retire": Operation(RetireKey, retire, changes=True, announced=True),
    "keys.revoke": Operation(RevokeKey, revoke, changes=True, announced=True),
}
