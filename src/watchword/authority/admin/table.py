"""Every administrative operation, by its name: a file per noun, a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from watchword.authority.admin import audit, clients, key_files, keys, trust
from watchword.authority.admin.operation import Operation

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        **audit.OPERATIONS,
        **clients.OPERATIONS,
        **key_files.OPERATIONS,
        **keys.OPERATIONS,
        **trust.OPERATIONS,
    }
)
"""`<noun>.<verb>`: served as `POST /admin/<noun>/<verb>` on the operator's socket, and nowhere else."""
