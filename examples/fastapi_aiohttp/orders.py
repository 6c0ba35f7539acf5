"""Orders in FastAPI; `aiohttp` asks stock on behalf of whoever calls."""

from typing import Annotated

from fastapi import FastAPI, HTTPException

from watchword.fastapi import VerifiedToken, Watchword

ORDERS = {7: "umbrella"}

ww = Watchword()
app = FastAPI(lifespan=ww.lifespan)


@app.get("/orders/{number}")
async def order(
    number: int, token: Annotated[VerifiedToken, ww.require("orders:read")]
) -> dict[str, str | int]:
    if number not in ORDERS:
        raise HTTPException(404)
    async with ww.aiohttp_session("stock") as stock, stock.get(f"/stock/{ORDERS[number]}") as answer:
        answer.raise_for_status()  # what is not caught here becomes 502 for our own caller
        left = (await answer.json())["left"]
    return {"item": ORDERS[number], "left": left, "for": token.subject.id}
