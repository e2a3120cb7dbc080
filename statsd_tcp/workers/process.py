"""The worker process: ``python -m statsd_tcp.workers.process``, started by the supervisor and by nobody else.

What it does is in `child_end`, which is imported when signals can no longer end the process.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from typing import Any

__all__ = ["main"]

_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> int:
    """Run one worker to its end, and give the exit status."""
    # A signal to the process group must not end a worker before it has handed over what it knows.
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # Until it has booted: imports are all that happens, and leave hardly any garbage.
    gc.disable()
    from statsd_tcp.workers.channel import CANNOT_BOOT

    try:
        _run()
    except Exception:  # noqa: BLE001  (the edge of the process)
        traceback.print_exc()
        return CANNOT_BOOT
    return 0


def _run() -> None:
    from statsd_tcp import crash_points
    from statsd_tcp.clock import use_monotonic
    from statsd_tcp.sockets.tls import reactor_without_tls
    from statsd_tcp.workers.channel import CHANNEL_DESCRIPTOR
    from statsd_tcp.workers.child_end import ChildEnd
    from statsd_tcp.workers.turns import Turns

    reactor: Any
    with reactor_without_tls():
        from twisted.internet import reactor
    use_monotonic(reactor)
    crash_points.arm(os.environ, crash_points.WORKER)
    ChildEnd(reactor, Turns.of(reactor)).open(CHANNEL_DESCRIPTOR)
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    sys.exit(main())
