"""How one gets a token: one file per grant type, and the list of them."""

from collections.abc import Mapping
from types import MappingProxyType

from watchword.grants import client_credentials, token_exchange
from watchword.grants.base import Grant

GRANTS: Mapping[str, Grant] = MappingProxyType(
    {
        client_credentials.GRANT_TYPE: client_credentials.client_credentials,
        token_exchange.GRANT_TYPE: token_exchange.token_exchange,
    }
)
"""Every grant type that the token endpoint knows, by its exact name."""
