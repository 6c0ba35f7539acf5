"""Orders in Flask; `requests` asks stock on behalf of whoever calls."""

from flask import Flask

from watchword.flask import Watchword

ORDERS = {7: "umbrella"}

app = Flask(__name__)
auth = Watchword(app)


@app.get("/orders/<int:number>")
@auth.require("orders:read")
def order(number):
    if number not in ORDERS:
        return {"detail": "there is no such order"}, 404
    answer = auth.session("stock").get(f"/stock/{ORDERS[number]}")
    answer.raise_for_status()  # what is not caught here becomes 502 for our own caller
    return {"item": ORDERS[number], "left": answer.json()["left"], "for": auth.token.subject.id}
