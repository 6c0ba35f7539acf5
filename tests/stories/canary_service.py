"""A service with the SDK that is as talkative as Python lets it be: every log, every repr, every failure."""

import contextlib
import json
import logging
import pickle
import sys
import traceback

logging.basicConfig(level=1, stream=sys.stderr)

import requests  # noqa: E402
from flask import Flask  # noqa: E402

from watchword import errors  # noqa: E402
from watchword.flask import Watchword  # noqa: E402

app = Flask("posts")
auth = Watchword(app)


@app.get("/posts")
@auth.require("posts:read")
def posts():
    session = auth.session("users")
    print(repr(session), str(session), vars(session), file=sys.stderr)
    return {"users": session.get("/users").status_code}


@app.get("/crash")
@auth.require()
def crash():
    raise RuntimeError("something else went wrong")


def tell(error: BaseException) -> None:
    with open("variables.txt", "a") as file:  # tokens may stand there, keys may not
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        file.write("".join(told.format()))
    traceback.print_exception(error)
    print(repr(error), str(error), getattr(error, "public", ""), file=sys.stderr)


def main() -> None:
    client = app.test_client()
    tokens = json.load(sys.stdin)
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        for path in ("/posts", "/crash", "/nowhere"):
            answer = client.get(path, headers=headers)
            print(path, answer.status_code, answer.get_data(as_text=True), dict(answer.headers))
        try:
            verified = auth.verify(token)
            print(repr(verified), str(verified), verified.claims)
        except errors.WatchwordError as error:
            tell(error)
    client.get("/posts", headers=[("Authorization", f"Bearer {tokens[0]}"), ("Authorization", "Basic x")])
    client.get(f"/posts?access_token={tokens[0]}")
    things = (
        [auth, auth.metrics(), auth.health(), app, *vars(auth).values()]
        if hasattr(auth, "__dict__")
        else [auth]
    )
    for thing in things:
        print(repr(thing), str(thing), file=sys.stderr)
        with contextlib.suppress(Exception):
            sys.stderr.write(repr(pickle.dumps(thing)))
    try:
        with auth.acting_for(tokens[0]):
            auth.session("users").get("/users")
    except (errors.WatchwordError, requests.RequestException) as error:
        tell(error)


main()
