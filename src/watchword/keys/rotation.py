"""When a key is prepared, activated, retired and removed: one pure decision at a time.

```
 prepared ──────────────▶ active ──────────────▶ retired ──────────────▶ removed
   │  published, so that     │  signs until the      │  verifies until the
   │  every verifier has it  │  next one takes over  │  last token has expired
   ▼                         ▼                       ▼
 discarded (another        revoked: neither signs nor is published, from the moment of the decision
 algorithm is wanted)
```

There is always a key in reserve: prepared, published long enough, ready to sign at once if the active one
must go. `next_step` reads no clock and changes nothing, so that thousands of schedules can be simulated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from watchword.errors import ConfigurationError
from watchword.keys.keyring import KeyEntry, Keyring, KeyState
from watchword.keys.new_claims import MAX_LIFETIME
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.private_key import DEFAULT_ALGORITHM, PrivateKey

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How long a key lives in each state; all in seconds.

    Args:
        algorithm: of new keys. A change of it begins a rotation at once.
        active_for: how long a key signs before the next one takes over.
        cached_for: the longest time for which a verifier goes on with a key set that it has fetched. The
            SDK's bound is an hour, whatever a server's header says.
        skew: how far the clocks of two machines that share a keyring may be apart.
        longest_token: the longest life of a token; no shorter than an `Issuer` may give one.
        seen_within: how long another process that shares the keyring may go on as if a step had not been
            done: publish without a new key, or sign with a retired one.

    Raises:
        ConfigurationError: with these values a key could sign before verifiers have it, or vanish before
            its tokens; every mistake at once.
    """

    algorithm: str = DEFAULT_ALGORITHM
    active_for: float = 30 * DAY
    cached_for: float = 3_600.0
    skew: float = 300.0
    longest_token: float = float(MAX_LIFETIME)
    seen_within: float = 0.0

    def __post_init__(self) -> None:
        problems = [
            f"{name}: expected seconds, not negative, found {value}"
            for name in ("active_for", "cached_for", "skew", "longest_token", "seen_within")
            if not 0 <= (value := getattr(self, name)) < math.inf
        ]
        if self.algorithm not in PUBLIC_KEY_ALGORITHMS:
            problems.append(f"algorithm: expected one of {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}")
        if self.longest_token < MAX_LIFETIME:
            problems.append(
                f"longest_token: expected at least {MAX_LIFETIME} s, which is how long a token may live,"
                f" found {self.longest_token:g}: the key would vanish before its tokens"
            )
        if self.active_for <= self.publish_for:
            problems.append(
                f"active_for: expected more than {self.publish_for:.0f} s, found {self.active_for:.0f}: the"
                " next key must be published for cached_for and skew before it takes over"
            )
        if problems:
            raise ConfigurationError(problems)

    @property
    def publish_for(self) -> float:
        """How long a key is published before it signs."""
        return self.cached_for + self.skew + self.seen_within

    @property
    def verify_for(self) -> float:
        """How long a retired key verifies at least: the life of its last token."""
        return self.longest_token + self.skew + self.seen_within


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the tokens out there; without any, a key is kept for the longest life of a token."""

    live_until: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """By `kid`: when the last token that it signed expires, seconds since the epoch."""


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Prepare:
    """Publish a new key of this algorithm; it does not sign yet."""

    algorithm: str
    kid: str | None = None
    """Of the key that was made, once it is."""


@dataclass(frozen=True, slots=True)
class Activate:
    """Let this key sign; the one that signed retires."""

    kid: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Stop publishing this retired or revoked key: no token needs it any more."""

    kid: str


@dataclass(frozen=True, slots=True)
class Discard:
    """Stop publishing this prepared key: it never signed, and another algorithm is wanted."""

    kid: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this moment, seconds since the epoch."""

    until: float


Step = Prepare | Activate | Remove | Discard | Wait


def next_step(keyring: Keyring, policy: RotationPolicy, evidence: Evidence, now: float) -> Step:
    """Return what must happen to the keyring now; asked again after each step until it says `Wait`.

    Every keyring has a next step, also an empty one and one whose active key was revoked.
    """
    active = next((entry for entry in keyring.entries if entry.state is KeyState.ACTIVE), None)
    reserve = [entry for entry in keyring.entries if entry.state is KeyState.PREPARED]
    wanted = [entry for entry in reserve if entry.key.alg == policy.algorithm]
    if not wanted:
        return Prepare(policy.algorithm)
    settled = active is not None and active.key.alg == policy.algorithm

    # while nobody signs, a reserve of another algorithm that verifiers have is better than none
    heir = min(
        wanted if active else reserve, key=lambda entry: (entry.since, entry.key.alg != policy.algorithm)
    )
    due = heir.since + policy.publish_for
    if active is not None and settled:
        due = max(due, active.since + policy.active_for)
    if due <= now:
        return Activate(heir.kid)
    moments = [due]

    for entry in keyring.entries:
        if entry.state is KeyState.PREPARED and settled and entry not in wanted:
            return Discard(entry.kid)
        if entry.state in (KeyState.RETIRED, KeyState.REVOKED):
            over = still_needed_until(entry, policy, evidence)
            if over <= now:
                return Remove(entry.kid)
            moments.append(over)
    return Wait(min(moments))


def perform(keyring: Keyring, step: Step, now: float, fresh: PrivateKey | None = None) -> Keyring:
    """Return the keyring after a step; `fresh` is the new key where one is prepared."""
    match step:
        case Prepare(algorithm=algorithm):
            return keyring.prepare(fresh or PrivateKey.generate(algorithm), now)
        case Activate(kid):
            return keyring.activate(kid, now)
        case Remove(kid):
            return keyring.remove(kid)
        case Discard(kid):
            return keyring.discard(kid)
        case Wait():
            return keyring


def still_needed_until(entry: KeyEntry, policy: RotationPolicy, evidence: Evidence) -> float:
    """Return until when a retired or revoked key is kept: its last token has expired then.

    Evidence may prolong the wait, never shorten it.
    """
    last = evidence.live_until.get(entry.kid, 0.0) if entry.state is KeyState.RETIRED else 0.0
    return max(entry.since + policy.verify_for, last + policy.skew)
