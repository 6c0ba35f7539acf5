"""Tokens and key sets shaped like those of Auth0, Firebase and Keycloak."""

from typing import Any

import pytest

from watchword.errors import InvalidRequest, InvalidScope
from watchword.grants.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.verified import VerifiedToken
from watchword.trust.model import TrustedIssuer

from .conftest import World, signed

pytestmark = pytest.mark.anyio


async def exchanged(world: World, token: str, **form: str) -> VerifiedToken:
    return world.read((await world.exchange("posts", token, "users", **form)).access_token, "users")


class TestAuth0:
    """Access tokens of Auth0: `aud` is a list, permissions beside scopes, no `jti`, sub `auth0|…`."""

    @pytest.fixture
    def key(self, rsa_key: PrivateKey) -> PrivateKey:
        return PrivateKey(
            rsa_key._material, alg="RS256", kid="NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg"
        )

    @pytest.fixture
    def world(self, world: World, key: PrivateKey) -> World:
        uri = "https://acme.eu.auth0.com/.well-known/jwks.json"
        # as published: the certificate chain and thumbprint stand beside the numbers
        jwk = dict(key.public_jwk()) | {"x5t": key.kid, "x5c": ["MIIC+zCCAeOgAwIBAgI="]}
        world.published.sets[uri] = JWKSet.from_dict({"keys": [jwk]})
        world.issuers["auth0"] = TrustedIssuer(
            alias="auth0",
            issuer="https://acme.eu.auth0.com/",
            jwks_uri=uri,
            asserts="people",
            algorithms=frozenset({"RS256"}),
            token_types=frozenset({"JWT"}),
            scopes=frozenset({"posts:read"}),
            scope_claim="permissions",
            audiences={"https://api.acme.example": "posts"},
            roles=frozenset({"editor"}),
            claims={"roles": "https://acme.example/roles"},
        )
        world.authority.trust.replace(world.document)
        return world

    @staticmethod
    def payload(**claims: Any) -> dict[str, Any]:
        return {
            "https://acme.example/roles": ["editor"],
            "iss": "https://acme.eu.auth0.com/",
            "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
            "aud": ["https://api.acme.example", "https://acme.eu.auth0.com/userinfo"],
            "iat": 1_799_999_990,
            "exp": 1_800_086_390,
            "azp": "my_client_id",
            "scope": "openid profile email",
            "permissions": ["posts:read", "posts:write"],
            "gty": "password",
        } | claims

    async def test_a_persons_token_is_exchanged(self, world: World, key: PrivateKey) -> None:
        token = await exchanged(world, signed(key, self.payload(), typ="JWT"), subject_token_type=JWT)
        assert token.subject.id == "auth0|auth0|5f7c8ec7c33c6c004bbafe82"
        assert token.roles == {"editor"}
        assert token.scope == {"users:read"}
        assert token.claims["exp"] - token.claims["iat"] == 120
        assert (await world.last_event()).parent_jti is None

    async def test_it_is_no_rfc_9068_access_token(self, world: World, key: PrivateKey) -> None:
        with pytest.raises(InvalidRequest, match="subject_token_type"):
            await exchanged(world, signed(key, self.payload(), typ="JWT"))

    @pytest.mark.threat(112)
    async def test_a_token_for_another_api_is_not_ours(self, world: World, key: PrivateKey) -> None:
        for aud in ("posts", ["https://acme.eu.auth0.com/userinfo"], "https://api.acme.example/"):
            with pytest.raises(InvalidRequest, match="aud"):
                await exchanged(world, signed(key, self.payload(aud=aud), typ="JWT"), subject_token_type=JWT)
        with pytest.raises(InvalidRequest, match="mapped"):
            await world.exchange(
                "billing", signed(key, self.payload(), typ="JWT"), "users", subject_token_type=JWT
            )

    async def test_permissions_are_the_scopes_and_scope_is_not(self, world: World, key: PrivateKey) -> None:
        for change in ({"permissions": []}, {"permissions": ["posts:write"]}):
            token = signed(key, self.payload(scope="posts:read", **change), typ="JWT")
            with pytest.raises(InvalidScope):
                await exchanged(world, token, subject_token_type=JWT)


class TestFirebase:
    """ID tokens of Firebase: RS256, `aud` is the project, keys on another origin, no scopes at all."""

    @pytest.fixture
    def key(self, rsa_key: PrivateKey) -> PrivateKey:
        return PrivateKey(rsa_key._material, alg="RS256", kid="d97fbcb1f0b9c7d3e5a84f1f7b9be3fa6a4c5b11")

    @pytest.fixture
    def world(self, world: World, key: PrivateKey) -> World:
        uri = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
        other = PrivateKey.generate("RS256")
        world.published.sets[uri] = JWKSet.from_dict({"keys": [other.public_jwk(), key.public_jwk()]})
        world.issuers["firebase"] = TrustedIssuer(
            alias="firebase",
            issuer="https://securetoken.google.com/acme-7d3f1",
            jwks_uri=uri,
            asserts="people",
            algorithms=frozenset({"RS256"}),
            token_types=frozenset({"JWT"}),
            subject_token_types=frozenset({"id_token"}),
            scopes=frozenset({"posts:read"}),
            default_scopes=frozenset({"posts:read"}),
            audiences={"acme-7d3f1": "posts"},
            require={"email_verified": True},
        )
        world.authority.trust.replace(world.document)
        return world

    @staticmethod
    def payload(**claims: Any) -> dict[str, Any]:
        return {
            "name": "John Doe",
            "iss": "https://securetoken.google.com/acme-7d3f1",
            "aud": "acme-7d3f1",
            "auth_time": 1_799_999_000,
            "user_id": "Kf3kd93mFkQw2ooPfK1",
            "sub": "Kf3kd93mFkQw2ooPfK1",
            "iat": 1_799_999_990,
            "exp": 1_800_003_590,
            "email": "john@example.org",
            "email_verified": True,
            "firebase": {"identities": {"email": ["john@example.org"]}, "sign_in_provider": "password"},
        } | claims

    async def test_an_id_token_is_exchanged_for_the_default_scopes(
        self, world: World, key: PrivateKey
    ) -> None:
        token = await exchanged(world, signed(key, self.payload(), typ="JWT"), subject_token_type=ID_TOKEN)
        assert token.subject.id == "firebase|Kf3kd93mFkQw2ooPfK1"
        assert token.claims["auth_time"] == 1_799_999_000
        assert not {"email", "name", "firebase", "user_id"} & token.claims.keys()
        assert world.published.asked == [world.issuers["firebase"].jwks_uri]

    @pytest.mark.threat(113)
    async def test_it_is_taken_as_an_id_token_only(self, world: World, key: PrivateKey) -> None:
        for declared in (JWT, ACCESS_TOKEN):
            with pytest.raises(InvalidRequest, match="subject_token_type"):
                await exchanged(world, signed(key, self.payload(), typ="JWT"), subject_token_type=declared)

    @pytest.mark.threat(112, 123)
    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": "another-project"},
            {"iss": "https://securetoken.google.com/another-project"},
            {"email_verified": False},
            {"exp": 1_799_999_999},
            {"sub": ""},
        ],
    )
    async def test_another_project_or_an_unproven_person_is_refused(
        self, world: World, key: PrivateKey, claims: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidRequest):
            await exchanged(
                world, signed(key, self.payload(**claims), typ="JWT"), subject_token_type=ID_TOKEN
            )

    async def test_a_callee_that_lists_the_address_gets_it_if_the_issuer_maps_it(
        self, world: World, key: PrivateKey
    ) -> None:
        world.change("users", claims=frozenset({"email"}))
        text = signed(key, self.payload(), typ="JWT")
        assert "email" not in (await exchanged(world, text, subject_token_type=ID_TOKEN)).claims
        world.change_issuer("firebase", claims={"email": "email"})
        token = await exchanged(world, text, subject_token_type=ID_TOKEN)
        assert token.claims["email"] == "john@example.org"


class TestKeycloak:
    """Access tokens of Keycloak: `typ` in the payload, roles deep inside, list `aud`, `azp`."""

    @pytest.fixture
    def world(self, world: World, rsa_key: PrivateKey) -> World:
        uri = "https://sso.example/realms/acme/protocol/openid-connect/certs"
        # a realm publishes an encryption key beside the signing one
        encryption = dict(rsa_key.public_jwk()) | {"kid": "enc", "use": "enc", "alg": "RSA-OAEP"}
        world.published.sets[uri] = JWKSet.from_dict({"keys": [encryption, rsa_key.public_jwk()]})
        world.issuers["sso"] = TrustedIssuer(
            alias="sso",
            issuer="https://sso.example/realms/acme",
            jwks_uri=uri,
            asserts="people",
            algorithms=frozenset({"RS256"}),
            token_types=frozenset({"JWT"}),
            scopes=frozenset({"posts:read"}),
            roles=frozenset({"editor"}),
            claims={"roles": "realm_access.roles"},
            require={"typ": "Bearer", "azp": "web"},
        )
        world.authority.trust.replace(world.document)
        return world

    @staticmethod
    def payload(**claims: Any) -> dict[str, Any]:
        return {
            "exp": 1_800_000_300,
            "iat": 1_800_000_000,
            "auth_time": 1_799_999_998,
            "jti": "onrtac:7d2e8a94-5f1b-41a1-9e6a-4d7b6f2f4d2c",
            "iss": "https://sso.example/realms/acme",
            "aud": ["posts", "account"],
            "sub": "f9d0b3a8-2c5e-4b43-9d10-1d0a3f7a9f35",
            "typ": "Bearer",
            "azp": "web",
            "sid": "8b1d6f0c-8f0e-4b07-8f69-2f3f6d1f7b60",
            "acr": "1",
            "allowed-origins": ["https://web.example"],
            "realm_access": {"roles": ["default-roles-acme", "offline_access", "editor"]},
            "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
            "scope": "openid profile posts:read",
            "preferred_username": "john",
        } | claims

    async def test_a_persons_token_is_exchanged(self, world: World, rsa_key: PrivateKey) -> None:
        text = signed(rsa_key, self.payload(), typ="JWT")
        token = await exchanged(world, text, subject_token_type=JWT)
        assert token.subject.id == "sso|f9d0b3a8-2c5e-4b43-9d10-1d0a3f7a9f35"
        assert token.roles == {"editor"}
        assert token.session_id == "sso|8b1d6f0c-8f0e-4b07-8f69-2f3f6d1f7b60"
        assert token.claims["acr"] == "1"
        assert "preferred_username" not in token.claims

    @pytest.mark.threat(113)
    @pytest.mark.parametrize("typ", ["ID", "Refresh", "Offline", "Logout", "Bearer ", None])
    async def test_its_other_tokens_are_not_taken_for_access_tokens(
        self, world: World, rsa_key: PrivateKey, typ: str | None
    ) -> None:
        payload = {k: v for k, v in self.payload(typ=typ).items() if v is not None}
        for declared in (JWT, ACCESS_TOKEN, ID_TOKEN):
            with pytest.raises(InvalidRequest):
                await exchanged(world, signed(rsa_key, payload, typ="JWT"), subject_token_type=declared)

    @pytest.mark.threat(123)
    @pytest.mark.parametrize(
        "claims",
        [
            {"azp": "evil"},
            {"aud": "account"},
            {"iss": "https://sso.example/realms/other"},
            {"realm_access": {"roles": "editor"}},
            {"realm_access": {"roles": [{"name": "editor"}]}},
        ],
    )
    async def test_another_realm_client_or_shape_is_refused(
        self, world: World, rsa_key: PrivateKey, claims: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidRequest):
            await exchanged(world, signed(rsa_key, self.payload(**claims), typ="JWT"), subject_token_type=JWT)

    async def test_a_person_without_the_mapped_claim_has_no_roles(
        self, world: World, rsa_key: PrivateKey
    ) -> None:
        for access in ({}, {"other": 1}, "x", None):
            text = signed(rsa_key, self.payload(realm_access=access, roles=["editor"]), typ="JWT")
            assert (await exchanged(world, text, subject_token_type=JWT)).roles == frozenset()
