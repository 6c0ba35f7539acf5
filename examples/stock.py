"""The service that all examples call: how many of an item are left. It says who asks, and through whom.

uvicorn stock:app --port 5001
"""

from typing import Annotated

from fastapi import FastAPI, HTTPException

from watchword.fastapi import VerifiedToken, Watchword

LEFT = {"umbrella": 12, "lantern": 3}

ww = Watchword()
app = FastAPI(lifespan=ww.lifespan)


@app.get("/stock/{item}")
async def left(item: str, token: Annotated[VerifiedToken, ww.require("stock:read")]) -> dict[str, int]:
    print(f"{token.client_id} asks for {token.subject.id}, actors {token.actors}")
    if item not in LEFT:
        raise HTTPException(404)
    return {"left": LEFT[item]}
