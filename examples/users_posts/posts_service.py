"""posts-service: reads posts to people, and asks users-service for the authors on their behalf.

flask --app examples/users_posts/posts_service.py run --port 5002
"""

import json
import logging
from pathlib import Path
from typing import Any

from flask import Flask, request

from watchword.flask import Watchword

POSTS = json.loads((Path(__file__).parent / "posts.json").read_text(encoding="utf-8"))

logging.basicConfig(level=logging.INFO, format="%(message)s")  # "refused <code>: <why>" for every refusal

app = Flask(__name__)
auth = Watchword(
    app
)  # WATCHWORD_ISSUER, WATCHWORD_TRUSTED_ISSUERS, WATCHWORD_AUDIENCE, WATCHWORD_CLIENT_KEY_FILE, …


@app.get("/posts")
@auth.require("posts:read")
def posts() -> list[dict[str, Any]]:
    page = request.args.get("page", 1, type=int)
    size = min(request.args.get("size", 10, type=int), 100)
    published = [post for post in POSTS if not post["draft"]]
    return with_authors(published[max(page - 1, 0) * size :][:size])


@app.get("/drafts")
@auth.require("posts:read", role="editor")
def drafts() -> list[dict[str, Any]]:
    return with_authors([post for post in POSTS if post["draft"]])


def with_authors(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the posts, each with its author, by one call to users-service and not one per post."""
    users = auth.session("users")  # the reader's token is exchanged for one that only users-service accepts
    answer = users.get("/users", params={"id": sorted({post["user_id"] for post in page})})
    answer.raise_for_status()
    authors = {author["user_id"]: author for author in answer.json()}
    return [post | {"author": authors.get(post["user_id"])} for post in page]


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "up"}
