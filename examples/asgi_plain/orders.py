"""Orders as a plain ASGI application, without a framework; `httpx2` asks stock on behalf of whoever calls."""

import json

from watchword.asgi import Watchword

ORDERS = {"/orders/7": "umbrella"}

ww = Watchword()


async def orders(scope, receive, send):
    item = ORDERS.get(scope["path"])
    if item is None:
        return await answer(send, 404, {"detail": "there is no such order"})
    stock = await ww.client("stock").get(f"/stock/{item}")
    stock.raise_for_status()  # what is not caught here becomes 502 for our own caller
    await answer(send, 200, {"item": item, "left": stock.json()["left"], "for": ww.token.subject.id})


async def answer(send, status, document):
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})


app = ww.protect(orders, "orders:read")
