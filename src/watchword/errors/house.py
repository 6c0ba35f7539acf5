"""Settings, the trust document, keys and stores: what the operator mends."""

from watchword.errors.root import Problems, WatchwordError


class ConfigurationError(Problems):
    """Settings that cannot work; `problems` lists every one of them."""

    code = "configuration_invalid"
    public = "the service is not configured correctly"


class TrustError(Problems):
    """A trust document with mistakes; `problems` names table and key of every one."""

    code = "trust_document_invalid"


class KeyringError(WatchwordError):
    """Signing keys cannot be used as asked."""

    code = "keyring_error"


class NoActiveKey(KeyringError):
    """The keyring has no key that may sign now."""

    code = "no_active_key"
    public = "the service cannot issue tokens at the moment"


class KeyRejected(KeyringError):
    """Key material that must not be used: too short, a known sample, of the wrong kind."""

    code = "key_rejected"


class KeyringConflict(KeyringError):
    """The keyring changed since it was read; read it again and decide anew."""

    code = "keyring_conflict"


class KeyNotReady(KeyringError):
    """A key that is not published long enough to sign: some verifiers would not know it."""

    code = "key_not_ready"


class NoSuccessor(KeyringError):
    """The key that signs would go, and no other is published long enough: the operator must choose."""

    code = "no_successor"


class KeyFileUnsafe(KeyringError):
    """A key file or its folder can be read or replaced by somebody else."""

    code = "key_file_unsafe"


class SealBroken(KeyringError):
    """A sealed record was changed, cut or exchanged, or an old one was put back; the message names it."""

    code = "seal_broken"


class SealingKeyUnusable(KeyringError):
    """The sealing key is missing, is no key, or is not the one under which the records were sealed."""

    code = "sealing_key_unusable"


class StoreError(WatchwordError):
    """The store could not do what was asked."""

    code = "store_error"
    public = "the service is temporarily unavailable"


class StoreUnavailable(StoreError):
    """The disk is full, locked or read-only; nothing was written, and the same call may work later."""

    code = "store_unavailable"


class DataFolderInUse(StoreError):
    """Another process holds the data folder; `holder` is its process id, as far as the folder tells."""

    code = "data_folder_in_use"

    def __init__(self, message: str, *, holder: str) -> None:
        self.holder = holder
        super().__init__(message)


class AlreadyConsumed(StoreError):
    """A value that works once came a second time."""

    code = "already_consumed"


class StoreCorrupt(StoreError):
    """A migration, checksum or record is not what it must be; a person has to look."""

    code = "store_corrupt"


class CheckpointInvalid(StoreError):
    """A statement about the audit is not signed by the audit key, or does not say what it must."""

    code = "checkpoint_invalid"


class AuditLogUnavailable(StoreError):
    """The audit log outside the database is full or blocked: nothing happens that it could not tell of."""

    code = "audit_log_unavailable"
