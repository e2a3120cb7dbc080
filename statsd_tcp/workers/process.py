"""The worker process, which the supervisor starts by ``python -m statsd_tcp.workers``.

It finds the control channel and its ledger at fixed descriptors, is told the rest over the channel, and exits with one
of the statuses in `channel`.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from typing import Any

from twisted.python.failure import Failure

from statsd_tcp import crash_points, native
from statsd_tcp.clock import use_monotonic
from statsd_tcp.ingest.lane_kinds import lane_kinds
from statsd_tcp.ingest.limits import WorkerLimits
from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.sockets.tls import reactor_without_tls
from statsd_tcp.who.limit_memory import LimitMemory
from statsd_tcp.who.memory import SourceMemory
from statsd_tcp.workers.channel import (
    CANNOT_BOOT,
    CHANNEL_DESCRIPTOR,
    FAILED,
    LEDGER_DESCRIPTOR,
    Boot,
    Channel,
    Collect,
    Committed,
    Drain,
    Message,
    Retire,
    one_channel,
)
from statsd_tcp.workers.turns import Turns
from statsd_tcp.workers.worker import Worker

__all__ = ["main"]

_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class ChildEnd:
    """Connects one `Worker` to its channel, and ends the process when either is done."""

    def __init__(self, reactor: Any, turns: Turns) -> None:
        self._reactor = reactor
        self._turns = turns
        self._worker: Worker | None = None
        self._done = False
        self._channel = Channel(self._received, self._supervisor_gone)

    def open(self, descriptor: int) -> None:
        """Listen to the supervisor."""
        pair_end = socket.socket(fileno=descriptor)
        pair_end.setblocking(False)
        self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, one_channel(self._channel))
        pair_end.close()

    def _received(self, message: Message) -> None:
        if isinstance(message, Boot):
            self._boot(message)
        elif self._worker is None:
            return
        elif isinstance(message, Committed):
            self._worker.know(message.node)
            self._worker.committed(message.offset, whole=message.whole)
        elif isinstance(message, Collect | Drain | Retire):
            self._worker.session = message.session
            self._asked(self._worker, message)

    def _asked(self, worker: Worker, message: Collect | Drain | Retire) -> None:
        if isinstance(message, Collect):
            worker.collect()
        elif isinstance(message, Drain):
            worker.drain(self._drained, seconds=message.seconds)
        else:
            worker.retire(self._drained)

    def _boot(self, boot: Boot) -> None:
        # First of all, so that the memory comes from the processor's own node.
        if boot.cpu is not None:
            _stay_on(boot.cpu)
        try:
            in_c = native.is_used(os.environ)
            ledger = LedgerMap(LEDGER_DESCRIPTOR, boot.ledger_path, writable=True)
            self._worker = Worker(
                self._reactor,
                boot,
                ledger,
                self._channel.send,
                self._fail,
                in_c=in_c,
                sources=_sources(boot.sources, in_c=in_c),
                limits=_limits(boot.limits, boot.column, in_c=in_c),
                longest_gap=lambda: self._turns.longest,
                timer=self._turns,
            )
            self._worker.start()
        except Exception:  # noqa: BLE001  (the edge of the process: whatever it was, the supervisor must be told)
            traceback.print_exc()
            self._exit(CANNOT_BOOT)
            return
        # What exists now stays: later collections need not look at it again.
        gc.collect()
        gc.freeze()
        # The start of the process has switched it off.
        gc.enable()
        self._turns.begin()

    def _drained(self) -> None:
        if self._worker is not None and not self._done:
            self._done = True
            self._worker.collect(last=True)

    def _supervisor_gone(self) -> None:
        """Take what waits into the ledger, and go: the next supervisor finds it there."""
        if self._worker is None or self._done:
            self._close()
        else:
            self._done = True
            self._worker.drain(self._close, heard=False)

    def _fail(self, failure: Failure) -> None:
        failure.printTraceback(file=sys.stderr)
        self._exit(FAILED)

    def _close(self) -> None:
        if self._worker is None:
            self._stop()
        else:
            self._worker.close(self._stop)

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()

    def _exit(self, status: int) -> None:
        """End at once: nothing is lost that was framed, and nothing that runs on could be trusted."""
        sys.stderr.flush()
        os._exit(status)


def _sources(descriptor: int, *, in_c: bool) -> WorkerSources | None:
    """Map the memory of sources, if they are counted."""
    return WorkerSources(SourceMemory(descriptor), lane_kinds(in_c=in_c).add_source) if descriptor else None


def _limits(descriptor: int, column: int, *, in_c: bool) -> WorkerLimits | None:
    """Map the memory of the limits of sources, if there are any."""
    if not descriptor:
        return None
    return WorkerLimits(LimitMemory(descriptor), column, lane_kinds(in_c=in_c).admits)


def _stay_on(cpu: int) -> None:
    """Run on that processor only. Where that is not allowed (by seccomp, for example) say so, and run anywhere."""
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError as error:
        print(f"cannot be kept on CPU {cpu} ({error.strerror}), and runs on any", file=sys.stderr, flush=True)  # noqa: T201


def main() -> int:
    """Run one worker to its end, and return the exit status."""
    try:
        return _run()
    except Exception:  # noqa: BLE001  (the edge of the process)
        traceback.print_exc()
        return CANNOT_BOOT


def _run() -> int:
    # A signal to the process group must not end a worker before it has handed over what it knows.
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    reactor: Any
    with reactor_without_tls():
        from twisted.internet import reactor
    use_monotonic(reactor)
    crash_points.arm(os.environ, crash_points.WORKER)
    ChildEnd(reactor, Turns.of(reactor)).open(CHANNEL_DESCRIPTOR)
    reactor.run(installSignalHandlers=False)
    return 0


# So does a supervisor of version 0.1.0 start it, under which the package was replaced.
if __name__ == "__main__":
    sys.exit(main())
