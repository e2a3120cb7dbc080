"""Places at which a process of the service kills itself when its environment says so, to prove that nothing is lost.

``STATSCOUNTER_CRASH=point`` or ``point:nth`` names one of `POINTS`, and which passing of it is the last; with ``@path``
after it, only those count that happen while there is a file of that name. When a process
starts, the methods at the point are replaced; without a crash, nothing has to be checked.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

__all__ = ["ABSORBING", "DEADLY", "POINTS", "READING", "SUPERVISOR", "VARIABLE", "WORKER", "CrashPointError", "arm"]

VARIABLE = "STATSCOUNTER_CRASH"

WORKER = ("after-accept", "after-frame", "before-release")
"""In a worker: a connection was accepted and is not counted; a frame is in the journal and nothing is made of it yet;
the store has what the journal held, and the journal still holds it."""

SUPERVISOR = ("before-commit", "after-commit")
"""In the supervisor: all is ready for the transaction; the transaction is done and no worker has been told."""

ABSORBING = ("before-absorb", "after-absorb")
"""In the supervisor: a store that was handed over is read, and not added yet; it is added, and its file still there."""

READING = ("in-replay", "deadly-line")
"""In the process that reads a dead worker's journal: in its middle, where nth is how many such processes die in a row;
and at each frame that holds `DEADLY`."""

DEADLY = b"deadly"

POINTS = (*WORKER, *SUPERVISOR, *ABSORBING, *READING)

Burn = Callable[[], None]


class CrashPointError(ValueError):
    """The environment names no crash point; the text says which there are."""


def arm(environ: Mapping[str, str], points: tuple[str, ...], passed: int = 0) -> None:
    """Set the crash that the environment asks for, if it is one of ``points``.

    ``passed`` is how often it was passed by processes before this one, for what only the first ones do not survive.
    Raises `CrashPointError`.
    """
    text = environ.get(VARIABLE, "")
    if not text:
        return
    where, _, path = text.partition("@")
    name, _, number = where.partition(":")
    if name not in POINTS or not (number or "1").isdigit():
        raise CrashPointError(f"{VARIABLE}={text}: not one of {', '.join(POINTS)}, with :N for the Nth time")
    nth = int(number or 1)
    if name not in points or (passed >= nth and name != "deadly-line"):
        return
    if name in READING:
        # As a line does it that the parser cannot stand; SIGKILL may mean that memory is short.
        _ARMED[name](_fuse(1, path, signal.SIGSEGV))
    else:
        _ARMED[name](_fuse(nth, path))


def _fuse(length: int, path: str, number: int = signal.SIGKILL) -> Burn:
    left = length

    def burn() -> None:
        nonlocal left
        if not path or os.path.exists(path):  # noqa: PTH110  (a Path for each of a million passings)
            left -= 1
            if not left:
                os.kill(os.getpid(), number)

    return burn


def _before(owner: type, name: str, burn: Burn) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def armed(*args: Any, **keywords: Any) -> Any:
        burn()
        return original(*args, **keywords)

    setattr(owner, name, armed)


def _after(owner: type, name: str, burn: Burn) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def armed(*args: Any, **keywords: Any) -> Any:
        result = original(*args, **keywords)
        burn()
        return result

    setattr(owner, name, armed)


def _after_accept(burn: Burn) -> None:
    from statsd_tcp.ingest.lane import AcceptLane

    begin = AcceptLane.start

    def start(lane: Any) -> None:
        accept = lane._accept  # noqa: SLF001  (the lane has the C function at hand, and must not ask for it)

        def accept_armed() -> Any:
            result = accept()
            burn()
            return result

        lane._accept = accept_armed  # noqa: SLF001
        begin(lane)

    AcceptLane.start = start  # type: ignore[assignment, method-assign]


def _after_frame(burn: Burn) -> None:
    from statsd_tcp.ledger.journal import Journal

    _after(Journal, "append", burn)
    _after(Journal, "append_batch", burn)


def _before_release(burn: Burn) -> None:
    from statsd_tcp.ledger.journal import Journal

    _before(Journal, "release", burn)


def _before_commit(burn: Burn) -> None:
    from statsd_tcp.store.database import Store

    _before(Store, "_write", burn)


def _after_commit(burn: Burn) -> None:
    from statsd_tcp.store.database import Store

    _after(Store, "_write", burn)


def _before_absorb(burn: Burn) -> None:
    from statsd_tcp.store.absorption import Absorption

    _before(Absorption, "_add", burn)


def _after_absorb(burn: Burn) -> None:
    from statsd_tcp.store.absorption import Absorption

    _before(Absorption, "_drop", burn)


def _in_replay(burn: Burn) -> None:
    from statsd_tcp.aggregate.tally import Tally

    _after(Tally, "add", burn)


def _deadly_line(burn: Burn) -> None:
    from statsd_tcp.aggregate.tally import Tally

    original = Tally.add

    def armed(tally: Tally, listener: int, chunk: bytes, tick: int) -> None:
        if DEADLY in chunk:
            burn()
        original(tally, listener, chunk, tick)

    Tally.add = armed  # type: ignore[assignment, method-assign]


_ARMED: Mapping[str, Callable[[Burn], None]] = {
    "after-accept": _after_accept,
    "after-frame": _after_frame,
    "before-release": _before_release,
    "before-commit": _before_commit,
    "after-commit": _after_commit,
    "before-absorb": _before_absorb,
    "after-absorb": _after_absorb,
    "in-replay": _in_replay,
    "deadly-line": _deadly_line,
}
