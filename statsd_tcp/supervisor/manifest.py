"""What one image of the supervisor leaves to the next: its descriptors, and what they are.

When the supervisor replaces its own code it stays the same process, so that its children stay its children and its
descriptors stay open. Everything else has to be told. The manifest is a file in memory whose descriptor is named in the
environment.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from statsd_tcp.formats import MANIFEST, check_format
from statsd_tcp.sockets.inherited import InheritedListener

__all__ = ["VARIABLE", "InheritedWorker", "Manifest", "read_manifest", "write_manifest"]

VARIABLE = "STATSCOUNTER_MANIFEST"

_LARGEST = 1 << 28


class _Format(msgspec.Struct, frozen=True):
    """What a manifest of any format has."""

    format: int


class InheritedWorker(msgspec.Struct, frozen=True):
    """A worker that lives on: its slot, its process, its ledger, and the descriptors that lead to it.

    ``unread`` is the beginning of a message that its channel has brought. ``printed`` are the pipes with its output.
    """

    number: int
    pid: int
    ledger_id: str
    channel: int
    unread: bytes
    printed: list[int]
    leaving: bool


class Manifest(msgspec.Struct, frozen=True):
    """All that is handed on.

    ``lock`` is the state directory's; ``started_at`` tells how long ago it was started, as a moment of the wall clock;
    ``pid_file`` is the one to remove at the very end. ``up`` is what the operator says of the service's health.
    ``ending`` are the processes that have nothing more to say, and wait to be reaped. ``start`` tells this start of the
    service from others; release 0.1.0 has none.
    """

    lock: int
    listeners: list[InheritedListener]
    services: list[InheritedListener]
    workers: list[InheritedWorker]
    restarts: dict[str, int]
    started_at: float
    reloads: int
    pid_file: str
    up: bool = True
    ending: list[int] = []
    format: int = MANIFEST
    start: str = ""

    def descriptors(self) -> list[int]:
        """Return every descriptor that must stay open."""
        listeners = (*self.listeners, *self.services)
        rows = [row for listener in listeners for row in (*listener.rows, *listener.spare)]
        of_workers = [descriptor for worker in self.workers for descriptor in (worker.channel, *worker.printed)]
        return [self.lock, *(descriptor for row in rows for descriptor in row), *of_workers]


def write_manifest(manifest: Manifest, environ: MutableMapping[str, str]) -> int:
    """Write the manifest where the next image finds it. Return its descriptor; nothing is inheritable yet.

    Raises `OSError`; nothing is left then.
    """
    data = msgspec.msgpack.encode(manifest)
    with ExitStack() as undo:
        descriptor = os.memfd_create("statscounter", os.MFD_CLOEXEC)
        undo.callback(os.close, descriptor)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        undo.pop_all()
    environ[VARIABLE] = str(descriptor)
    return descriptor


def read_manifest(environ: MutableMapping[str, str]) -> Manifest | None:
    """Take what an earlier image of this process left, if there was one. It can be taken once. Raises `FormatError`."""
    text = environ.pop(VARIABLE, "")
    if not text.isdigit():
        return None
    descriptor = int(text)
    # A variable that came from another program's environment leads to no file of ours.
    if not Path(f"/proc/self/fd/{descriptor}").exists():
        return None
    data = os.pread(descriptor, _LARGEST, 0)
    os.close(descriptor)
    check_format("manifest", msgspec.msgpack.decode(data, type=_Format).format)
    manifest = msgspec.msgpack.decode(data, type=Manifest)
    for one in manifest.descriptors():
        os.set_inheritable(one, False)
    return manifest
