"""The same users-service with Watchword: its own RS256 key in an owner-only folder, a token for one audience.

flask --app examples/guide/ours/users_service run --port 5001
"""

import os

from flask import Flask, jsonify, request

from watchword import Issuer
from watchword.flask import Watchword, issuer_blueprint
from watchword.keystores import open_key_store

app = Flask(__name__)
auth = Watchword(app)

issuer = Issuer(
    os.environ["WATCHWORD_URL_USERS"], open_key_store(os.environ["WATCHWORD_KEYS"]), algorithm="RS256"
)
app.register_blueprint(issuer_blueprint(issuer))  # /public-key, and a JWK Set for everybody else

users = {"1": {"id": "1", "username": "john_doe"}, "2": {"id": "2", "username": "jane_doe"}}


@app.post("/login")
def login():
    # a real service looks at the password first; ../../users_posts does
    user = users[request.json["user_id"]]
    return jsonify({"token": issuer.issue(user["id"], "posts", scope={"posts:read"})})


@app.get("/users")
@auth.require("users:read")
def get_users():
    return jsonify([users[user_id] for user_id in request.args.getlist("id") if user_id in users])
