"""users-service: signs people in with its own key, and tells other services who they are.

uvicorn --app-dir examples/users_posts users_service:app --port 5001
"""

import json
import logging
import os
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Query
from people import PEOPLE, sign_in
from pydantic import BaseModel, Field

from watchword import Issuer
from watchword.fastapi import VerifiedToken, Watchword, issuer_router
from watchword.keys.rotation import RotationPolicy
from watchword.keys.rotator import Rotator
from watchword.keystores import open_key_store

LIFETIME = 300  # seconds

logging.basicConfig(level=logging.INFO, format="%(message)s")  # "refused <code>: <why>" for every refusal
log = logging.getLogger("users")

# People come with tokens that we sign; services come with tokens of the token service (WATCHWORD_ISSUER).
issuer = Issuer(os.environ["WATCHWORD_URL_USERS"], open_key_store(os.environ["WATCHWORD_KEYS"]))
ww = Watchword()

# Keys change by themselves; the demonstration sets times so short that one can watch.
TIMES = ("active_for", "cached_for", "skew")
times = {
    t: float(os.environ[f"USERS_KEY_{t.upper()}"]) for t in TIMES if f"USERS_KEY_{t.upper()}" in os.environ
}
Rotator(issuer, RotationPolicy(**times)).start()

app = FastAPI(title="users-service", lifespan=ww.lifespan)
app.include_router(issuer_router(issuer))  # /.well-known/jwks.json and /public-key


class SignIn(BaseModel):
    user_id: str = Field(max_length=64)
    password: str = Field(max_length=256)
    audience: Literal["posts", "reports"] = "posts"  # the one service that this token is for


class SignedIn(BaseModel):
    access_token: str
    token_type: str = "Bearer"
    expires_in: int = LIFETIME


class User(BaseModel):
    user_id: str
    name: str


@app.post("/login")
def login(who: SignIn) -> SignedIn:
    person = sign_in(who.user_id, who.password)
    if person is None:
        raise HTTPException(401, "the name or the password is wrong")
    token = issuer.issue(
        person.user_id, who.audience, scope={"posts:read"}, roles=person.roles, lifetime=LIFETIME
    )
    return SignedIn(access_token=token)


@app.get("/users")
async def users(
    token: Annotated[VerifiedToken, ww.require("users:read")],
    id: Annotated[list[str], Query(max_length=100)],
) -> list[User]:
    """Return the people with these ids: one call for a whole page of posts."""
    log.info("read for %s", json.dumps({"kid": token.key_id, "claims": dict(token.claims)}))
    return [User(user_id=i, name=PEOPLE[i].name) for i in dict.fromkeys(id) if i in PEOPLE]


@app.get("/users/{user_id}")
async def user(user_id: str, token: Annotated[VerifiedToken, ww.require("users:read")]) -> User:
    if user_id not in PEOPLE:
        raise HTTPException(404, "nobody has this id")
    return User(user_id=user_id, name=PEOPLE[user_id].name)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "up"}
