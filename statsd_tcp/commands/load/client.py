"""One generator process: takes its share, waits for the common start, works, hands the result back."""

from __future__ import annotations

import gc
import resource
import signal
import time
from multiprocessing.connection import Connection as Pipe

from statsd_tcp.commands.load.kept import KeptConnections
from statsd_tcp.commands.load.link import Link, PipeLink
from statsd_tcp.commands.load.results import Result
from statsd_tcp.commands.load.short import ShortConnections
from statsd_tcp.commands.load.workload import Mode, Share

__all__ = ["READY", "generate", "raise_descriptor_limit", "work_through"]

READY = "ready"


def raise_descriptor_limit() -> int:
    """Allow this process as many open files as the hard limit says, and return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def work_through(share: Share, start: float, link: Link) -> Result:
    """Do a share of a run, whatever its mode. ``start`` is on the monotonic clock."""
    cpu = time.process_time()
    loop = KeptConnections if share.work.mode is Mode.KEPT else ShortConnections
    result = loop(share, start, link).run()
    result.cpu = time.process_time() - cpu
    return result


def generate(share: Share, pipe: Pipe) -> None:
    """Be a generator process: READY goes out, the start's time comes in, reports and the result go out.

    Another message from the parent, or its end, stops it early: nothing more is started, what is open is
    brought to its end.
    """
    # The terminal sends Ctrl-C to all of us; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_descriptor_limit()
    # There are no cycles to collect, and a collection would be measured as the server's delay.
    gc.disable()
    pipe.send(READY)
    try:
        start: float = pipe.recv()
    except (EOFError, ConnectionResetError):
        return
    result = work_through(share, start, PipeLink(pipe))
    try:
        pipe.send(result)
    except (BrokenPipeError, ConnectionResetError):
        return
