"""A WebSocket origin made of the library websockets and nothing of ours. Prints `port N`, then serves until it is killed.

Sends back what comes, and does a few things when told by the path.
"""

import asyncio
import contextlib

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def talk(socket):
    path = socket.request.path
    if path == "/leave":
        await socket.close(4001, "enough")
        return
    if path == "/ping":
        # The answer to a ping of ours, as a message.
        seconds = await (await socket.ping(b"are you there"))
        await socket.send(f"ponged {seconds >= 0}")
    if path == "/facts":
        headers = {name.lower(): value for name, value in socket.request.headers.raw_items()}
        extensions = [extension.name for extension in socket.protocol.extensions]
        await socket.send(
            f"{headers['x-forwarded-proto']} {headers['host']} {socket.subprotocol} {extensions}"
        )
    # Not `async for`, which takes any code but 1000 for an error.
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.send(await socket.recv())
    print("closed", socket.close_code, socket.close_reason, flush=True)


def choose(_, offered):
    """The best that both know; the library itself would refuse clients who ask for none."""
    return next((name for name in ("chat.v2", "chat.v1") if name in offered), None)


async def main():
    async with serve(
        talk, "127.0.0.1", 0, max_size=32 << 20, select_subprotocol=choose, ping_interval=None
    ) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
