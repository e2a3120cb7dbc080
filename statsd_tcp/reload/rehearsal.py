"""What a next image of the service would want: found out by a child that runs it up to the point where it would start.

The child is the very command that would replace the supervisor, with a variable in its environment that makes it print
its offer and end. So the new code, its plugins and the new configuration are all tried, and nothing is touched.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from statsd_tcp.formats import check_formats, write_formats
from statsd_tcp.kernel.cpu_count import size_workers
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.table import Settings

__all__ = ["VARIABLE", "Offer", "RefusedError", "make_offer", "request_offer"]

VARIABLE = "STATSCOUNTER_CHECK"
"""Has the child check only, and names the formats of the supervisor that asks (`statsd_tcp.formats`)."""

LONGEST_CHECK = 30.0
"""Seconds that the child may take: many times what it needs on a busy machine."""

_MARK = b"statscounter-offer:"


class RefusedError(Exception):
    """The next image can't be started; the text is the last thing that it said."""


class Offer(msgspec.Struct, frozen=True):
    """The endpoints that the next image wants to listen on, and for how many workers."""

    streams: list[Endpoint]
    http: Endpoint | None
    admin: Endpoint | None
    workers: int


def make_offer(settings: Settings, running: str) -> NoReturn:
    """Print what these settings want, and end the process: it was started to find that out.

    ``running`` names the formats of the supervisor that runs; raise `FormatError` if they cannot be taken over.
    """
    check_formats(running)
    # The workers' code is new as well.
    import statsd_tcp.ingest.tls_lane
    import statsd_tcp.workers.process  # noqa: F401

    offer = Offer(
        [*settings.listen, *settings.count], settings.http, settings.admin, size_workers(settings.workers).workers
    )
    sys.stdout.buffer.write(_MARK + msgspec.json.encode(offer) + b"\n")
    sys.stdout.buffer.flush()
    raise SystemExit(0)


class _Child(ProcessProtocol):
    """Reads what the child says."""

    def __init__(self) -> None:
        self.said = b""
        self.ended: Deferred[Offer] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Keep it."""
        self.said += data

    def processEnded(self, reason: Failure) -> None:
        """Judge it."""
        lines = self.said.splitlines()
        offers = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
        try:
            self.ended.callback(msgspec.json.decode(offers[-1], type=Offer))
        except (IndexError, msgspec.MsgspecError):
            last = next((line for line in reversed(lines) if line.strip()), b"the check ended without a word")
            self.ended.errback(RefusedError(last.decode(errors="replace")))


def request_offer(reactor: Any, executable: str, arguments: list[str], environ: Mapping[str, str]) -> Deferred[Offer]:
    """Run the child; fires with its offer, or fails with `RefusedError`."""
    child = _Child()
    process = reactor.spawnProcess(
        child, executable, [executable, *arguments], env={**environ, VARIABLE: write_formats()}
    )
    limit: IDelayedCall = reactor.callLater(LONGEST_CHECK, _kill, process)

    def ended(result: Offer | Failure) -> Offer | Failure:
        if limit.active():
            limit.cancel()
        return result

    return child.ended.addBoth(ended)


def _kill(process: Any) -> None:
    try:
        process.signalProcess("KILL")
    except ProcessExitedAlready:
        pass
