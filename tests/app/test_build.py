"""The composition root: what it opens it closes, also under somebody else's ASGI server."""

import asyncio
import dataclasses
import json

import pytest

from watchword.app.build import create_app, opened
from watchword.app.config import ServerSettings
from watchword.errors import ConfigurationError, DataFolderInUse
from watchword.server.tls import Pair


def settings(folder) -> ServerSettings:
    return ServerSettings.load({"WATCHWORD_ISSUER": "https://tokens.example"}, folder=folder)


async def get(application, path: bytes):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "raw_path": path, "query_string": b"", "headers": []}
    await application(scope, None, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_the_folder_is_free_again_after_the_end(tmp_path):
    async def twice():
        for _ in range(2):
            async with opened(settings(tmp_path)) as application:
                assert await get(application, b"/health/ready") == (200, {"status": "ready"})
                with pytest.raises(DataFolderInUse):
                    await opened(settings(tmp_path)).__aenter__()

    asyncio.run(twice())


def test_the_key_is_the_same_after_a_start_anew(tmp_path):
    async def keys():
        async with opened(settings(tmp_path)) as application:
            return await get(application, b"/.well-known/jwks.json")

    assert asyncio.run(keys()) == asyncio.run(keys())


def test_another_asgi_server_drives_it_by_its_lifespan(tmp_path):
    async def live():
        application = create_app(settings(tmp_path))
        with pytest.raises(ConfigurationError):
            await get(application, b"/health/live")
        told, said = asyncio.Queue(), asyncio.Queue()
        lifespan = asyncio.create_task(application({"type": "lifespan"}, told.get, said.put))
        await told.put({"type": "lifespan.startup"})
        assert (await said.get())["type"] == "lifespan.startup.complete"
        assert (await get(application, b"/health/ready"))[0] == 200
        await told.put({"type": "lifespan.shutdown"})
        assert (await said.get())["type"] == "lifespan.shutdown.complete"
        await lifespan

    asyncio.run(live())


def test_another_asgi_server_is_not_left_to_speak_plain_where_tls_was_asked_for(tmp_path):
    with pytest.raises(ConfigurationError, match="TLS_CERT"):
        create_app(dataclasses.replace(settings(tmp_path), tls=Pair(tmp_path / "cert", tmp_path / "key")))
