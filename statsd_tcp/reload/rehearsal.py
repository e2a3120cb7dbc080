"""What a next image of the service would want: found out by a child that runs it up to the point where it would start.

The child is the very command that would replace the supervisor, with a variable in its environment that makes it print
what it wants and end. So the new code, its plugins and the new configuration are all tried, and nothing is touched.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import msgspec
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.interfaces import IDelayedCall

from statsd_tcp.children import Children, Lines
from statsd_tcp.formats import check_formats, write_formats
from statsd_tcp.kernel.cpu_count import size_workers
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.settings import Settings

__all__ = ["VARIABLE", "RefusedError", "Wanted", "rehearse", "start_rehearsal"]

VARIABLE = "STATSCOUNTER_CHECK"
"""Has the child check only, and names the formats of the supervisor that asks (`statsd_tcp.formats`)."""

LONGEST_CHECK = 60.0
"""Seconds that the child may take, of which it needs one. Where seventeen others wait for a processor, it took 30."""

_MARK = "statscounter-offer:"
"""Begins the line that says what is wanted. The word is that of release 0.1.0, whose supervisor reads it too."""


class RefusedError(Exception):
    """The next image cannot be started; the text is the last thing that it said."""


class Wanted(msgspec.Struct, frozen=True):
    """The endpoints that the next image wants to listen on, and for how many workers."""

    streams: list[Endpoint]
    http: Endpoint | None
    admin: Endpoint | None
    workers: int


def rehearse(settings: Settings, running: str) -> NoReturn:
    """Print what these settings want, and end the process: it was started to find that out.

    ``running`` names the formats of the supervisor that runs; raise `FormatError` if they cannot be taken over.
    """
    check_formats(running)
    # The workers' code is new as well.
    import statsd_tcp.ingest.tls_lane
    import statsd_tcp.workers.process  # noqa: F401

    wanted = Wanted(
        [*settings.listen, *settings.count], settings.http, settings.admin, size_workers(settings.workers).workers
    )
    sys.stdout.buffer.write(_MARK.encode() + msgspec.json.encode(wanted) + b"\n")
    sys.stdout.buffer.flush()
    raise SystemExit(0)


async def start_rehearsal(
    reactor: Any, children: Children, command: Sequence[str], environ: Mapping[str, str]
) -> Wanted:
    """Run the child, and return what it wants; raises `RefusedError`, and `OSError` if there is no child."""
    said: list[str] = []
    pipes = {1: Lines(said.append), 2: Lines(said.append)}
    child = children.start(command, {**environ, VARIABLE: write_formats()}, pipes)
    limit: IDelayedCall = reactor.callLater(LONGEST_CHECK, child.kill)
    try:
        # One that waits for a dead disk does not end when it is killed.
        await child.ended.addTimeout(2 * LONGEST_CHECK, reactor)
    except DeferTimeoutError:
        raise RefusedError(f"the check has not ended in {2 * LONGEST_CHECK:.0f} s, nor when it was killed") from None
    finally:
        is_in_time = limit.active()
        if is_in_time:
            limit.cancel()
    if not is_in_time:
        raise RefusedError(f"the check had not ended in {LONGEST_CHECK:.0f} s, and was killed")
    return _judge(said)


def _judge(said: Sequence[str]) -> Wanted:
    marked = [line.removeprefix(_MARK) for line in said if line.startswith(_MARK)]
    try:
        return msgspec.json.decode(marked[-1], type=Wanted)
    except (IndexError, msgspec.MsgspecError):
        last = next((line for line in reversed(said) if line.strip()), "the check ended without a word")
        raise RefusedError(last) from None
