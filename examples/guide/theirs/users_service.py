"""The guide's users-service: signs with RS256 and shows its public key. Do not copy this; see ../ours.

flask --app examples/guide/theirs/users_service run --port 5001
"""

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, Response, jsonify, request

app = Flask(__name__)

private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
public_key = private_key.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)

users = {1: {"id": 1, "username": "john_doe"}, 2: {"id": 2, "username": "jane_doe"}}


def verify_token():
    token = request.headers.get("Authorization", "").replace("Bearer ", "")
    try:
        return jwt.decode(token, public_key, algorithms="RS256")
    except Exception:  # noqa: BLE001
        return None


@app.post("/login")
def login():
    # a real service looks at the password first
    user = users[request.json["user_id"]]
    token = jwt.encode({"user_id": user["id"], "username": user["username"]}, private_key, algorithm="RS256")
    return jsonify({"token": token})


@app.get("/public-key")
def get_public_key():
    return Response(public_key, mimetype="text/plain")


@app.get("/users/<int:user_id>")
def get_user(user_id):
    if verify_token() is None:
        return jsonify({"error": "Unauthorized"}), 401
    return jsonify(users[user_id])
