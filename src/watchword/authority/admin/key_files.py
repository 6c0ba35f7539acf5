"""Private keys that leave, sealed; that come, and are prepared; and that are sealed anew where they are."""

import asyncio
import base64
from collections.abc import Mapping

import msgspec

from watchword.audit.event import AuditEvent
from watchword.authority.admin.operation import (
    AdminContext,
    Name,
    Nothing,
    Operation,
    Request,
    demand_confirmation,
)
from watchword.errors import KeyRejected, KeyUnknown
from watchword.keys.key_material import demand_no_sample
from watchword.keys.keyring import Keyring
from watchword.keys.travelling import export_keys
from watchword.tokens.private_key import PrivateKey


class ExportKeys(Request, frozen=True, kw_only=True):
    """Which keys; none named: all that can be used."""

    kids: tuple[str, ...] = ()


class ExportedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may travel, and the key of the file, which may not."""

    kids: list[str]
    file: str
    key: str

    def __repr__(self) -> str:
        return f"ExportedKeys({self.kids!r})"


async def export(context: AdminContext, request: ExportKeys, operator: str) -> ExportedKeys:
    """Seal private keys under a new key of their own."""
    await asyncio.to_thread(context.issuer.reload)
    keyring = context.issuer.keyring
    wanted = list(request.kids or (entry.kid for entry in keyring.entries))
    try:
        keys = [keyring.named(kid).key for kid in wanted]
    except KeyUnknown:
        raise KeyUnknown("no usable key has this kid: watchword keys show lists them all") from None
    now = context.clock.now()
    for key in keys:  # durable before anything leaves
        await context.ledger.record(AuditEvent(type="key.exported", time=now, actor=operator, kid=key.kid))
    file, text = export_keys(keys)
    return ExportedKeys(kids=wanted, file=file.decode("ascii"), key=text)


class CarriedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A private key on its way over the operator's socket."""

    kid: str
    algorithm: str
    pkcs8: str
    """DER in base64."""

    def __repr__(self) -> str:
        return f"CarriedKey({self.kid!r})"


class ImportKeys(Request, frozen=True, kw_only=True):
    """Keys from elsewhere."""

    keys: list[CarriedKey]


class ImportedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What was published, and when it may sign."""

    kids: list[str]
    ready_at: float


async def bring_in(context: AdminContext, request: ImportKeys, operator: str) -> ImportedKeys:
    """Publish keys from elsewhere; none of them signs before every verifier has it."""
    now = context.clock.now()
    keys = [_read(carried) for carried in request.keys]

    def step(keyring: Keyring) -> Keyring:
        there = [key.kid for key in keys if key.kid in {entry.kid for entry in keyring.entries}]
        if there:
            raise KeyRejected(f"the keyring has a key {', '.join(there)} already; nothing was imported")
        for key in keys:
            keyring = keyring.prepare(key, now)
        return keyring

    await asyncio.to_thread(context.issuer.change_keys, step, by=operator)
    return ImportedKeys(kids=[key.kid for key in keys], ready_at=now + context.policy.publish_for)


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """Under which sealing key everything is now; `None`: nothing is sealed."""

    sealing_key: str | None


async def reseal(context: AdminContext, _: Nothing, operator: str) -> Resealed:
    """Seal every key anew under the first sealing key, in one commit for each purpose."""
    name = await asyncio.to_thread(context.reseal, operator)
    if name is not None:
        event = AuditEvent(type="keyring.resealed", time=context.clock.now(), actor=operator, reason=name)
        await context.ledger.record(event)
    return Resealed(sealing_key=name)


class RemoveKey(Request, frozen=True, kw_only=True):
    """One key, named twice."""

    kid: Name
    confirm: str | None = None


class RemovedKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is gone."""

    kid: str
    live_tokens: int
    """Tokens that it had signed and that had not expired: they are refused from now on."""


async def remove(context: AdminContext, request: RemoveKey, operator: str) -> RemovedKey:
    """Forget a retired or revoked key, or one whose record cannot be opened."""
    demand_confirmation(request.kid, request.confirm)
    live = (await context.ledger.live_tokens(context.clock.now())).get(request.kid, 0)
    try:
        await asyncio.to_thread(
            context.issuer.change_keys, lambda keyring: keyring.remove(request.kid), by=operator
        )
    except KeyUnknown:
        raise KeyUnknown("no key has this kid: watchword keys show lists them all") from None
    return RemovedKey(kid=request.kid, live_tokens=live)


def _read(carried: CarriedKey) -> PrivateKey:
    key = _parsed(carried)
    if isinstance(key, str):
        raise KeyRejected(key)
    demand_no_sample(key)
    return key


def _parsed(carried: CarriedKey) -> PrivateKey | str:
    # nothing is raised from here: its frame would hold the key in clear
    try:
        der = base64.b64decode(carried.pkcs8, validate=True)
        return PrivateKey.from_der(der, alg=carried.algorithm, kid=carried.kid)
    except ValueError:
        return "expected a key in base64"
    except KeyRejected as error:
        return str(error)


OPERATIONS: Mapping[str, Operation] = {
    "keys.export": Operation(ExportKeys, export, changes=True, announced=True),
    "keys.import": Operation(ImportKeys, bring_in, changes=True, announced=True),
    "keys.remove": Operation(RemoveKey, remove, changes=True, announced=True),
    "keys.reseal": Operation(Nothing, reseal, changes=True, announced=True),
}
