"""The same posts-service with Watchword: verifies strictly, exchanges the token, asks once per page.

flask --app examples/guide/ours/posts_service run --port 5002
"""

from flask import Flask, jsonify

from watchword.flask import Watchword

app = Flask(__name__)
auth = Watchword(app)

posts = [
    {"id": 1, "user_id": "1", "title": "First post"},
    {"id": 2, "user_id": "2", "title": "Second post"},
]


@app.get("/posts")
@auth.require("posts:read")
def get_posts():
    answer = auth.session("users").get("/users", params={"id": sorted({post["user_id"] for post in posts})})
    answer.raise_for_status()
    users = {user["id"]: user for user in answer.json()}
    return jsonify([post | {"user": users.get(post["user_id"])} for post in posts])
