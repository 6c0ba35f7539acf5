"""Puts the use-cases together from what they need."""

from dataclasses import dataclass

from watchword.authority.client_assertion import AssertionVerifier
from watchword.authority.client_auth import ClientAuthenticator
from watchword.authority.door import Door
from watchword.authority.introspection import Introspection
from watchword.authority.key_source import KeySource
from watchword.authority.own_tokens import OwnTokens
from watchword.authority.quota import Quota
from watchword.authority.subject_tokens import SubjectTokens
from watchword.authority.token import TokenAuthority
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.grants import GRANTS
from watchword.grants.stores import Ledger
from watchword.keys.issuer import Issuer
from watchword.trust.model import TrustDocument

DEFAULT_LEEWAY = 5


@dataclass(frozen=True, slots=True)
class Authority:
    """The token service without HTTP."""

    door: Door
    trust: TrustInForce
    tokens: TokenAuthority
    introspection: Introspection


def build(
    issuer: Issuer,
    trust: TrustDocument,
    ledger: Ledger,
    *,
    keys: KeySource,
    clock: Clock = SYSTEM_CLOCK,
    leeway: float = DEFAULT_LEEWAY,
    quota: Quota | None = None,
) -> Authority:
    """Return the use-cases of one issuer.

    Args:
        issuer: signs; its keyring also verifies our own tokens.
        trust: the document in force at first; `Authority.trust.replace` swaps it.
        ledger: where events, single uses and the count of issued tokens are kept.
        keys: where the keys of other issuers and of clients with a `jwks_uri` come from.
        clock: the time that decides.
        leeway: seconds by which `nbf` and `iat` may lie ahead; `exp` never has any.
        quota: how often each client may ask; without one, as often as it likes.
    """
    in_force = TrustInForce(trust)
    assertions = AssertionVerifier(issuer.issuer, keys, leeway=leeway)
    door = Door(ClientAuthenticator(assertions), ledger, quota=quota)
    own = OwnTokens(issuer, leeway=leeway, clock=clock)
    return Authority(
        door,
        in_force,
        TokenAuthority(
            issuer,
            in_force,
            door=door,
            subjects=SubjectTokens(own, keys, leeway=leeway),
            grants=GRANTS,
            clock=clock,
        ),
        Introspection(own, in_force, door=door, clock=clock),
    )
