"""Orders in FastAPI; `httpx2` asks stock on behalf of whoever calls."""

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
    answer = await ww.client("stock").get(f"/stock/{ORDERS[number]}")
    answer.raise_for_status()  # what is not caught here becomes 502 for our own caller
    return {"item": ORDERS[number], "left": answer.json()["left"], "for": token.subject.id}
