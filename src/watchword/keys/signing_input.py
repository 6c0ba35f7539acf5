"""A token between its claims and its signature: what leaves for a signer, and what comes back."""

from dataclasses import dataclass

from watchword.tokens import base64url


@dataclass(frozen=True, slots=True)
class SigningInput:
    """A token that only lacks its signature (RFC 7515 §5.1); `signing_input` is what a signer must sign."""

    signing_input: bytes
    kid: str
    alg: str

    def finish(self, signature: bytes) -> str:
        """Return the compact JWS; the signature comes in its JOSE form."""
        return (self.signing_input + b"." + base64url.encode(signature)).decode("ascii")
