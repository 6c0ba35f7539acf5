"""Orders as a plain WSGI application, on nothing but the standard library; `urllib` asks stock.

python orders.py
"""

import json
from urllib.request import Request, urlopen
from wsgiref.simple_server import make_server

from watchword.wsgi import Watchword

ORDERS = {"/orders/7": "umbrella"}

auth = Watchword()


def orders(environ, start_response):
    item = ORDERS.get(environ["PATH_INFO"])
    if item is None:
        return answer(start_response, "404 Not Found", {"detail": "there is no such order"})
    stock = auth.outbound("stock")
    url = f"{stock.url}/stock/{item}"
    request = Request(url, headers={"Authorization": stock.authorization(url)})
    with urlopen(request, timeout=5) as reply:
        left = json.load(reply)["left"]
    return answer(start_response, "200 OK", {"item": item, "left": left, "for": auth.token.subject.id})


def answer(start_response, status, document):
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(document).encode()]


app = auth.protect(orders, "orders:read")

if __name__ == "__main__":
    with make_server("127.0.0.1", 5002, app) as server:
        print("running on http://127.0.0.1:5002")
        server.serve_forever()
