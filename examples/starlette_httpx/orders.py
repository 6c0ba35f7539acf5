"""Orders in Starlette; a client of `httpx` that is our own asks stock on behalf of whoever calls."""

import os
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from watchword.asgi import Watchword

ORDERS = {7: "umbrella"}

ww = Watchword()


@asynccontextmanager
async def lifespan(app):
    # made once, outside of any request: each request that it sends carries the token of its own caller
    stock = httpx.AsyncClient(base_url=os.environ["WATCHWORD_URL_STOCK"], auth=ww.auth("stock"), timeout=5)
    async with ww.lifespan(app), stock:
        yield {"stock": stock}


@ww.require("orders:read")
async def order(request):
    item = ORDERS.get(request.path_params["number"])
    if item is None:
        raise HTTPException(404)
    answer = await request.state.stock.get(f"/stock/{item}")
    answer.raise_for_status()  # what is not caught here becomes 502 for our own caller
    return JSONResponse({"item": item, "left": answer.json()["left"], "for": ww.token.subject.id})


app = Starlette(lifespan=lifespan, routes=[Route("/orders/{number:int}", order)])
