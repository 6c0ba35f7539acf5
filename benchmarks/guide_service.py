"""`python -m benchmarks.guide_service theirs.posts_service PORT`: a file of the guide with more posts."""

import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from flask import jsonify
from werkzeug.serving import WSGIRequestHandler, make_server

GUIDE = Path(__file__).parents[1] / "examples" / "guide"


class Quiet(WSGIRequestHandler):
    """Keep connections, as a server in production does, and write no line per request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Write nothing."""


def prepared(module: str, posts: int) -> Any:
    """Return the application with so many posts, each by another author."""
    side, _, name = module.partition(".")
    found = runpy.run_path(str(GUIDE / side / f"{name}.py"))
    kind = int if side == "theirs" else str
    if name == "posts_service":
        found["posts"][:] = [{"id": n, "user_id": kind(n), "title": f"Post {n}"} for n in range(1, posts + 1)]
    else:
        found["users"].update(
            {kind(n): {"id": kind(n), "username": f"user_{n}"} for n in range(1, posts + 1)}
        )
    app = found["app"]
    if "BENCH_USERS" in os.environ:
        app.view_functions["get_posts"].__globals__["USERS_SERVICE_URL"] = os.environ["BENCH_USERS"]
    if module == "ours.posts_service" and os.environ.get("BENCH_WAY") == "each":
        app.view_functions["get_posts"] = _each(found)
    delay = float(os.environ.get("BENCH_DELAY", "0"))
    if name == "users_service" and delay:
        app.before_request(lambda: time.sleep(delay))
    return app


def _each(found: dict[str, Any]) -> Any:
    """Ask once per post, all at once: what concurrency alone gives, without a batch call."""
    auth, posts = found["auth"], found["posts"]

    @auth.require("posts:read")
    def get_posts() -> Any:
        session = auth.session("users")

        def author(post: dict[str, Any]) -> dict[str, Any]:
            answer = session.get("/users", params={"id": post["user_id"]})
            answer.raise_for_status()
            return post | {"user": answer.json()[0]}

        return jsonify(auth.map(author, posts, workers=len(posts)))

    return get_posts


if __name__ == "__main__":
    application = prepared(sys.argv[1], int(os.environ["BENCH_POSTS"]))
    make_server(
        "127.0.0.1", int(sys.argv[2]), application, threaded=True, request_handler=Quiet
    ).serve_forever()
