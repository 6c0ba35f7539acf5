"""What everybody may read: JWK Set, metadata, PEM. Made once per keyring, served from memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from watchword.errors import RequestRefused
from watchword.keys.issuer import Issuer
from watchword.keys.keyring import Keyring
from watchword.server.answer import JSON, Answer, Headers, encode_json
from watchword.server.form import fields
from watchword.server.request import Request

KEYS_MAX_AGE = 300
"""Seconds for which a verifier may keep the keys without asking; a new key is published at least that long
before it signs."""
METADATA_MAX_AGE = 3600

_JWK_SET = b"application/jwk-set+json"
_PEM = b"application/x-pem-file"


@dataclass(frozen=True, slots=True)
class _Document:
    """A document ready to be sent, and the answer to those who have it already."""

    answer: Answer
    unchanged: Answer
    etag: str

    @classmethod
    def of(cls, body: bytes, content_type: bytes, max_age: int) -> "_Document":
        etag = f'"{sha256(body).hexdigest()[:32]}"'
        headers: Headers = ((b"cache-control", b"public, max-age=%d" % max_age), (b"etag", etag.encode()))
        return cls(Answer(200, body, content_type, headers), Answer(304, headers=headers), etag)

    def for_(self, request: Request) -> Answer:
        """Return 304 if the client named this very version, else the document (RFC 9110 §13.1.2)."""
        known = request.header(b"if-none-match")
        if known is None:
            return self.answer
        tags = [tag.strip(" \t").removeprefix("W/") for tag in known.split(",")]
        return self.unchanged if self.etag in tags or tags == ["*"] else self.answer


class Published:
    """The public documents of one issuer; they need neither the database nor anybody's permission."""

    __slots__ = ("_issuer", "_keyring", "_max_age", "_metadata", "_pem", "_set")

    def __init__(
        self, issuer: Issuer, metadata: Mapping[str, Any], *, keys_max_age: int = KEYS_MAX_AGE
    ) -> None:
        self._issuer = issuer
        self._max_age = min(keys_max_age, KEYS_MAX_AGE)
        self._metadata = _Document.of(encode_json(metadata), JSON, METADATA_MAX_AGE)
        self._keyring: Keyring | None = None
        self._set = _Document.of(b"", _JWK_SET, self._max_age)
        self._pem: dict[str, _Document] = {}

    async def metadata(self, request: Request) -> Answer:
        """`GET /.well-known/oauth-authorization-server` (RFC 8414 §3)."""
        return self._metadata.for_(request)

    async def jwk_set(self, request: Request) -> Answer:
        """`GET /.well-known/jwks.json` (RFC 7517 §5)."""
        self._refresh()
        return self._set.for_(request)

    async def public_key(self, request: Request) -> Answer:
        """`GET /public-key[?kid=]`: one key as PEM, the one that signs unless another is named.

        Raises:
            RequestRefused: 404 for an unknown `kid`, 400 for anything else in the query.
            NoActiveKey: no key signs.
        """
        self._refresh()
        kid = self._issuer.keyring.active.kid
        if request.query:
            named = fields(request.query)
            if [name for name, _ in named] != ["kid"]:
                raise RequestRefused(400, "expected at most one parameter, kid")
            kid = named[0][1]
        document = self._pem.get(kid)
        if document is None:
            raise RequestRefused(404, "no published key has this kid")
        return document.for_(request)

    def _refresh(self) -> None:
        """Make the documents anew if the keyring is another one than last time."""
        keyring = self._issuer.keyring
        if keyring is self._keyring:
            return
        keys = self._issuer.jwk_set()
        self._set = _Document.of(encode_json(keys.to_dict()), _JWK_SET, self._max_age)
        self._pem = {key.kid: _Document.of(key.pem(), _PEM, self._max_age) for key in keys.keys if key.kid}
        self._keyring = keyring
