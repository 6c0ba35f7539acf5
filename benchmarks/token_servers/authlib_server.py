"""Authlib's authorization server in Flask, storing through SQLAlchemy on SQLite, as its documentation has it.

Access tokens are JWTs by its RFC 9068 generator, introspection is its endpoint for those. Run by gunicorn:
`gunicorn authlib_server:app`; what it must know comes in `BENCH_SERVER`.
"""

import json
import os

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator, JWTIntrospectionEndpoint
from flask import Flask, jsonify
from joserfc.jwk import ECKey, KeySet, RSAKey
from sqlalchemy import Column, Integer, Text, create_engine, event
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker

ASKED = json.loads(os.environ["BENCH_SERVER"])
ISSUER = f"http://127.0.0.1:{ASKED['port']}"

engine = create_engine("sqlite:///authlib.db")
Base = declarative_base()
session = scoped_session(sessionmaker(bind=engine))


@event.listens_for(engine, "connect")
def _wal(connection, _):
    connection.execute("PRAGMA journal_mode = WAL")  # what everybody serves SQLite with


class Client(Base, OAuth2ClientMixin):
    __tablename__ = "oauth2_client"
    id = Column(Integer, primary_key=True)


class Token(Base, OAuth2TokenMixin):
    __tablename__ = "oauth2_token"
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer)
    access_token = Column(Text, unique=True, nullable=False)  # JWTs are longer than the mixin's 255


KEY = (
    ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
    if ASKED["alg"] == "ES256"
    else RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True)
)


class Generator(JWTBearerTokenGenerator):
    def get_jwks(self):
        return KEY

    def get_audiences(self, client, user, scope):
        return scope.partition(":")[0]


class ClientCredentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)


class Introspection(JWTIntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ("client_secret_basic",)

    def get_jwks(self):
        return KeySet([KEY])

    def check_permission(self, token, client, request):
        return token["aud"] == client.client_id


app = Flask(__name__)
server = AuthorizationServer(
    app, create_query_client_func(session, Client), create_save_token_func(session, Token)
)
server.register_token_generator(
    "default", Generator(ISSUER, alg=ASKED["alg"], expires_generator=lambda client, grant: ASKED["lifetime"])
)
server.register_grant(ClientCredentials)
server.register_endpoint(Introspection(ISSUER))


@app.teardown_appcontext
def _done(_):
    session.remove()


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.get("/jwks")
def jwks():
    return jsonify(KeySet([KEY]).as_dict(private=False))


def _populate():
    Base.metadata.create_all(engine)
    for asked in ASKED["clients"]:
        if "client_secret" in asked:
            client = Client(client_id=asked["client_id"], client_secret=asked["client_secret"])
            client.set_client_metadata(
                {
                    "grant_types": ["client_credentials"],
                    "token_endpoint_auth_method": "client_secret_basic",
                    "scope": "posts:read users:read",
                }
            )
            session.add(client)
    session.commit()
    session.remove()


_populate()
