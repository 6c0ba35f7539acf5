"""RFC 8414 metadata: only what works."""

from collections.abc import Collection
from typing import Any

from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS

AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


def authorization_server_metadata(issuer: str, grant_types: Collection[str]) -> dict[str, Any]:
    """Return the metadata of an authorization server without authorization endpoint (RFC 8414 §2)."""
    algorithms = sorted(PUBLIC_KEY_ALGORITHMS)
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/token",
        "introspection_endpoint": f"{issuer}/introspect",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "grant_types_supported": sorted(grant_types),
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
    }
