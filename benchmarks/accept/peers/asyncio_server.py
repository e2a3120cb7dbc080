"""asyncio's stream server: it closes what it only counts at once, and reads lines to their end."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable

BACKLOG = 10_000

totals = {"connections": 0, "lines": 0, "resets": 0}


async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Count one connection and close it."""
    totals["connections"] += 1
    await close(writer)


async def count_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Count one connection and the lines that it brings."""
    totals["connections"] += 1
    try:
        async for _line in reader:
            totals["lines"] += 1
    except ConnectionError:
        totals["resets"] += 1
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close, whatever the client did in the meantime."""
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        totals["resets"] += 1


ROLES: dict[str, Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]] = {
    "count": count,
    "lines": count_lines,
}


async def main(port: int, role: str) -> None:
    """Serve until SIGTERM."""
    server = await asyncio.start_server(ROLES[role], "127.0.0.1", port, backlog=BACKLOG)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await stopping.wait()
    server.close()
    print(json.dumps(totals))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
