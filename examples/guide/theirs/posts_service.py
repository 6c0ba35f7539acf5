"""The guide's posts-service: fetches the key, forwards the token, asks once per post. Do not copy it.

flask --app examples/guide/theirs/posts_service run --port 5002
"""

import jwt
import requests
from flask import Flask, jsonify, request

app = Flask(__name__)

USERS_SERVICE_URL = "http://localhost:5001"

posts = [
    {"id": 1, "user_id": 1, "title": "First post"},
    {"id": 2, "user_id": 2, "title": "Second post"},
]


def get_public_key():
    response = requests.get(f"{USERS_SERVICE_URL}/public-key")
    return response.text


def verify_token(token):
    try:
        public_key = get_public_key()
        payload = jwt.decode(token, public_key, algorithms=["RS256"])
        return payload
    except Exception:  # noqa: BLE001
        return None


@app.get("/posts")
def get_posts():
    token = request.headers.get("Authorization", "").replace("Bearer ", "")
    if verify_token(token) is None:
        return jsonify({"error": "Unauthorized"}), 401
    result = []
    for post in posts:
        response = requests.get(
            f"{USERS_SERVICE_URL}/users/{post['user_id']}",
            headers={"Authorization": f"Bearer {token}"},
        )
        user = response.json() if response.status_code == 200 else None
        result.append({**post, "user": user})
    return jsonify(result)
