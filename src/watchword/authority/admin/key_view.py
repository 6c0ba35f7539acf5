"""What an operator sees of the signing keys: states, ages, the tokens that need them, what comes next."""

import asyncio
from collections.abc import Mapping

import msgspec

from watchword.authority.admin.operation import AdminContext, Nothing
from watchword.keys.keyring import KeyState
from watchword.keys.rotation import (
    Activate,
    Discard,
    Evidence,
    Prepare,
    Remove,
    Step,
    Wait,
    next_step,
    still_needed_until,
)


class ShownKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key; times are seconds since the epoch."""

    kid: str
    algorithm: str
    state: str
    since: float
    """When it entered this state."""
    age: float
    """Seconds in this state."""
    live_tokens: int
    """Tokens that it signed and that have not expired, rounded up to the minute."""
    live_until: float | None
    """When the last of them expires; `None`: there are none."""
    needed_until: float | None
    """When the planner removes it; `None` while it is prepared or active."""


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """What the planner does next, and when."""

    step: str
    kid: str | None
    at: float


class ShownKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keyring, as verifiers and the planner see it."""

    issuer: str
    version: int
    keys: list[ShownKey]
    next: NextStep
    warnings: list[str]


async def show(context: AdminContext, _: Nothing, __: str) -> ShownKeys:
    """Tell of every key where it is in its life, who still needs it, and what happens next."""
    await asyncio.to_thread(context.issuer.reload)
    now, keyring = context.clock.now(), context.issuer.keyring
    live, until = await context.ledger.live_tokens(now), await context.ledger.live_until()
    evidence = Evidence(until)
    keys = [
        ShownKey(
            kid=entry.kid,
            algorithm=entry.key.alg,
            state=entry.state.value,
            since=entry.since,
            age=max(0.0, now - entry.since),
            live_tokens=live.get(entry.kid, 0),
            live_until=until.get(entry.kid) if live.get(entry.kid) else None,
            needed_until=still_needed_until(entry, context.policy, evidence)
            if entry.state in (KeyState.RETIRED, KeyState.REVOKED)
            else None,
        )
        for entry in keyring.entries
    ]
    return ShownKeys(
        issuer=context.issuer.issuer,
        version=keyring.version,
        keys=keys,
        next=_upcoming(context, evidence, now),
        warnings=_warnings(context, now),
    )


def _upcoming(context: AdminContext, evidence: Evidence, now: float) -> NextStep:
    """Return what the planner does next: what it says now, or what it will say when its wait is over."""
    keyring, at = context.issuer.keyring, now
    step = next_step(keyring, context.policy, evidence, at)
    if isinstance(step, Wait):
        at = step.until
        step = next_step(keyring, context.policy, evidence, at)
    return NextStep(step=_NAMES[type(step)], kid=None if isinstance(step, Wait) else step.kid, at=at)


_NAMES: Mapping[type[Step], str] = {
    Prepare: "prepare",
    Activate: "activate",
    Remove: "remove",
    Discard: "discard",
    Wait: "wait",
}


def _warnings(context: AdminContext, now: float) -> list[str]:
    """Return what an operator should look at: keys that are kept longer than the policy says."""
    keyring, policy = context.issuer.keyring, context.policy
    found = [
        f"{entry.kid} signs for {(now - entry.since) / 86_400:.1f} days, longer than KEY_ACTIVE_FOR"
        for entry in keyring.entries
        if entry.state is KeyState.ACTIVE and now > entry.since + policy.active_for + policy.publish_for
    ]
    if not any(entry.state is KeyState.ACTIVE for entry in keyring.entries):
        found.append("no key is active: no token can be issued")
    found += [
        f"{lost.kid} ({lost.state}) cannot be used: {lost.problem}; restore its record, or let go of it:"
        f" watchword keys remove {lost.kid}"
        for lost in keyring.unusable
    ]
    problem = context.issuer.store_problem
    if problem is not None:
        found.append(f"the key store cannot be read now: {problem}")
    return found
