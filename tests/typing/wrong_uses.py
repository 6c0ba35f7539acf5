"""What must be a type error: each comment that excuses one is an error itself as soon as it is not needed."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnusedFunction=false

from flask import Flask

from watchword import Issuer, IssuerSettings, VerifiedToken, Watchword
from watchword.flask import Watchword as FlaskWatchword
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

ISSUER = "https://login.example"


def nothing_about_security_has_a_default(issuer: Issuer, keys: JWKSet, policy: VerificationPolicy) -> None:
    VerificationPolicy(ISSUER, "posts")  # type: ignore[call-arg]
    VerificationPolicy(ISSUER, algorithms=["ES256"])  # type: ignore[call-arg]
    VerificationPolicy(audience="posts", algorithms=["ES256"])  # type: ignore[call-arg]
    issuer.issue("john")  # type: ignore[call-arg]
    verify("…", keys)  # type: ignore[call-arg]
    verify("…", keys, policy)  # type: ignore[call-arg]
    verify("…", "secret", policy, 0)  # type: ignore[arg-type]
    verify("…", {"keys": []}, policy, 0)  # type: ignore[arg-type]


def one_text_is_no_list_of_names() -> None:
    VerificationPolicy(ISSUER, "posts", "ES256")  # type: ignore[arg-type]
    VerificationPolicy(ISSUER, "posts", ["ES256"], token_types="JWT")  # type: ignore[arg-type]
    IssuerSettings(ISSUER, algorithms="RS256")  # type: ignore[arg-type]
    IssuerSettings(ISSUER, token_types="JWT")  # type: ignore[arg-type]


def settings_have_names_and_kinds(auth: Watchword) -> None:
    Watchword(ISSUER)  # type: ignore[call-arg]
    Watchword(issuer=ISSUER, audiences="posts")  # type: ignore[call-arg]
    Watchword(issuer=ISSUER, audience="posts", leeway="5s")  # type: ignore[arg-type]
    Watchword(issuer=ISSUER, audience="posts", insecure_shared_secret="text")  # type: ignore[arg-type]
    auth.session("users", own_identity="yes")  # type: ignore[arg-type]
    auth.outbound("users", on_behalf="whoever")  # type: ignore[arg-type]
    auth.verify(b"bytes")  # type: ignore[arg-type]
    IssuerSettings(ISSUER, missing_kid="accept")  # type: ignore[arg-type]


def a_verified_token_is_read_only(token: VerifiedToken) -> None:
    token.scope.add("posts:write")  # type: ignore[attr-defined]
    token.claims["sub"] = "the_boss"  # type: ignore[index]
    token.expires_at = 0  # type: ignore[misc]
    token.roles = {"admin"}  # type: ignore[misc, assignment]
    if token.actors == "service|posts":  # type: ignore[comparison-overlap]
        pass


def a_guard_keeps_the_signature_of_its_view(auth: FlaskWatchword, app: Flask) -> None:
    @auth.require("posts:read")
    def view(number: int) -> str:
        return str(number)

    view("one")  # type: ignore[arg-type]
    view()  # type: ignore[call-arg]
    auth.require(["posts:read"])  # type: ignore[arg-type]
    auth.protect("posts")  # type: ignore[arg-type]
    Watchword(app)  # type: ignore[call-arg, arg-type]
