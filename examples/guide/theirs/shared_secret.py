"""The guide's first step: one secret that both services know (HS256). Do not copy this.

users-service and posts-service share SECRET_KEY, so whoever runs posts-service can make a token for anybody.
"""

import datetime

import jwt
from flask import Flask, jsonify, request

app = Flask(__name__)

SECRET_KEY = "your_secret_key"


@app.post("/login")
def login():
    # a real service looks at the password first
    user_id = request.json["user_id"]
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    token = jwt.encode(
        {"user_id": user_id, "username": "john_doe", "exp": expires}, SECRET_KEY, algorithm="HS256"
    )
    return jsonify({"token": token})


@app.get("/posts")
def get_posts():
    token = request.headers.get("Authorization", "").replace("Bearer ", "")
    try:
        payload = jwt.decode(token, SECRET_KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return jsonify({"error": "Invalid token"}), 401
    return jsonify([{"id": 1, "title": "First post", "user_id": payload["user_id"]}])
