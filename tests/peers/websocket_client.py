"""A WebSocket client made of the library websockets and nothing of ours. Does what each line of stdin says, one connection
over its life, and prints one JSON object per line.

Usage: websocket_client.py PORT [CA [HOST [PATH]]]    with CA over TLS
"""

import asyncio
import json
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

port = sys.argv[1]
ca, host, path = [*sys.argv[2:], *(None, "app.test", "/")[len(sys.argv) - 2 :]]
tls = {"ssl": ssl.create_default_context(cafile=ca)} if ca else {}


def dial(path, **more):
    uri = f"{'wss' if ca else 'ws'}://{host}:{port}{path}"
    return connect(
        uri, host="127.0.0.1", port=int(port), max_size=32 << 20, proxy=None, ping_interval=None, **tls, **more
    )


async def text(socket):
    await socket.send("grüße")
    return await socket.recv()


async def binary(socket):
    await socket.send(bytes(range(256)))
    return (await socket.recv()).hex() == bytes(range(256)).hex()


async def ping(socket):
    return await (await socket.ping(b"hello")) >= 0


async def large(socket):
    message = bytes(number * 7 % 251 for number in range(8 << 20))
    await socket.send(message)
    answer = await socket.recv()
    return {"bytes": len(answer), "same": answer == message}


async def pieces(socket):
    """One message in several frames."""
    await socket.send(iter(["a", "b", "c"]))
    return await socket.recv()


async def leave(socket):
    await socket.close(3123, "bye")
    return socket.close_code


async def facts(_):
    async with dial("/facts", subprotocols=["chat.v1"]) as socket:
        extensions = [extension.name for extension in socket.protocol.extensions]
        return {"origin": await socket.recv(), "subprotocol": socket.subprotocol, "extensions": extensions}


async def ponged(_):
    async with dial("/ping") as socket:
        return await socket.recv()


async def left(_):
    async with dial("/leave") as socket:
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            return {"code": closed.rcvd.code, "reason": closed.rcvd.reason}


async def main():
    async with dial(path) as socket:
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            async with asyncio.timeout(20):
                print(json.dumps({command: await globals()[command](socket)}), flush=True)


asyncio.run(main())
