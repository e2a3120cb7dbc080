"""Children that do not exist, a pool without threads, and ledgers in a folder of its own."""

from __future__ import annotations

import secrets
import signal
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.children import Child, Children, Ending, Received
from statsd_tcp.commit.replay import PIECE_BYTES, Replay, replay
from statsd_tcp.ledger import folder as ledger_folder
from statsd_tcp.ledger.file import create_ledger
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.store.snapshot import LedgerState, Snapshot
from statsd_tcp.workers.channel import Channel, Message
from tests.unit.web.tables import make_snapshot

RING_SIZE = 1 << 19
SESSION = 7
"""What supervisors ask their workers for in tests."""
LISTENERS = [("tcp:8125", "etsy"), ("tcp:8888", "etsy")]

_LENGTH = struct.Struct(">I")
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class FakeChild(Child):
    """A child that lives until a test ends it."""

    def __init__(
        self,
        pid: int,
        command: Sequence[str],
        environ: Mapping[str, str],
        pipes: Mapping[int, Received],
        descriptors: Mapping[int, int],
        *,
        apart: bool = False,
    ) -> None:
        self.pid = pid
        self.apart = apart
        self.command = command
        self.environ = environ
        self.received = pipes
        self.descriptors = descriptors
        self.ended = Deferred()
        self.ending = None
        self.kills = 0

    @property
    def pipes(self) -> list[int]:
        """Have none."""
        return []

    def kill(self) -> None:
        """Count."""
        self.kills += 1

    def say(self, data: bytes, pipe: int = 2) -> None:
        """Write into a pipe: on standard error by default."""
        self.received[pipe](data)

    def end(self, status: int | None = 0, number: int | None = None) -> None:
        """End with an exit status, or by a signal."""
        for received in self.received.values():
            received(b"")
        self.ending = Ending(status, number)
        self.ended.callback(self.ending)


class FakeChildren(Children):
    """Starts children that do not exist. With an ``error`` it starts none."""

    def __init__(self) -> None:
        self.started: list[FakeChild] = []
        self.error: OSError | None = None

    def start(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        pipes: Mapping[int, Received],
        descriptors: Mapping[int, int] | None = None,
        *,
        apart: bool = False,
    ) -> FakeChild:
        """Make a child that does not exist."""
        if self.error is not None:
            raise self.error
        self.started.append(FakeChild(1000 + len(self.started), argv, environ, pipes, descriptors or {}, apart=apart))
        return self.started[-1]

    def inherit(self, pid: int, pipes: Sequence[tuple[int, Received]] = ()) -> FakeChild:
        """Go on with one that does not exist either."""
        self.started.append(
            FakeChild(pid, (), {}, {number: received for number, (_, received) in enumerate(pipes)}, {})
        )
        return self.started[-1]


class FakeReactor(MemoryReactorClock):
    """A clock, and channels with no process at the other end."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: list[Channel] = []
        self.adoption_error: OSError | None = None

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> None:
        """Connect a channel to a transport in memory."""
        if self.adoption_error is not None:
            raise self.adoption_error
        channel = factory.buildProtocol(None)
        transport = StringTransportWithDisconnection()
        transport.protocol = channel
        channel.makeConnection(transport)
        self.channels.append(channel)

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Call at once: there are no threads."""
        callable(*args, **kwargs)


class ImmediatePool:
    """A pool that does its work in the caller's thread, at once or when it is told to."""

    def __init__(self) -> None:
        self.held = False
        self._waiting: list[Callable[[], None]] = []

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], None], func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Do it, or keep it."""

        def work() -> None:
            try:
                result = func(*args, **kwargs)
            except Exception:  # noqa: BLE001  (what a pool does)
                onResult(False, Failure())
            else:
                onResult(True, result)

        self._waiting.append(work)
        if not self.held:
            self.release()

    def release(self) -> None:
        """Do what was kept."""
        while self._waiting:
            self._waiting.pop(0)()


class ImmediateRecovery:
    """Reads journals in this process, at once or when it is told to."""

    def __init__(self) -> None:
        self.results: dict[str, Replay] = {}
        self.held = False
        self.piece_bytes = PIECE_BYTES
        self._waiting: dict[str, tuple[Ledger, int, Callable[[], object], int | None]] = {}
        self._settled: list[Deferred[None]] = []

    @property
    def waiting(self) -> int:
        """Return how many journals are kept."""
        return len(self._waiting)

    def keep(self, ledger_ids: Collection[str]) -> None:
        """Do nothing."""

    def settled(self, seconds: float) -> Deferred[None]:
        """Fire when nothing is kept."""
        self._settled.append(Deferred())
        return self._settled[-1]

    def read(self, ledger: Ledger, start: int, found: Callable[[], object], until: int | None = None) -> None:
        """Read it, or keep it."""
        if ledger.ledger_id not in self.results:
            self._waiting[ledger.ledger_id] = (ledger, start, found, until)
        if not self.held:
            self.release()

    def release(self) -> None:
        """Read what was kept."""
        self.held = False
        while self._waiting:
            self._read(self._waiting.popitem()[1])
        for settled in self._settled:
            settled.callback(None)

    def read_one(self) -> None:
        """Read one of those that were kept."""
        self._read(self._waiting.popitem()[1])

    def _read(self, kept: tuple[Ledger, int, Callable[[], object], int | None]) -> None:
        ledger, start, found, until = kept
        with patch("statsd_tcp.commit.replay.PIECE_BYTES", self.piece_bytes):
            self.results[ledger.ledger_id] = replay(ledger.file, start, until)
        found()

    def stop(self) -> Deferred[None]:
        """Do nothing."""
        return succeed(None)


def say(channel: Channel, message: Message) -> None:
    """Let the other side of a channel say something."""
    payload = msgspec.msgpack.encode(message)
    channel.dataReceived(_LENGTH.pack(len(payload)) + payload)


def heard(channel: Channel) -> list[Message]:
    """Take everything that was sent over a channel to a worker."""
    transport: Any = channel.transport
    data, found = transport.value(), list[Message]()
    transport.clear()
    while data:
        (length,) = _LENGTH.unpack_from(data)
        found.append(_DECODER.decode(data[4 : 4 + length]))
        data = data[4 + length :]
    return found


def break_off(channel: Channel) -> None:
    """Let the other side of a channel be gone."""
    transport: Any = channel.transport
    transport.loseConnection()


STORE = "4f1f7a0c-6f5c-4d6a-9d0e-3b7d5f2a1c90"
"""The UUID of the store."""


def committed(state: LedgerState) -> Snapshot:
    """Make a snapshot with one ledger."""
    return msgspec.structs.replace(make_snapshot(), ledgers={state.ledger_id: state}, store=STORE)


class WorkersTestCase(SynchronousTestCase):
    """A test with a reactor, children that do not exist, and a folder of ledgers."""

    def setUp(self) -> None:
        """Make them."""
        self.reactor = FakeReactor()
        self.children = FakeChildren()
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # The journals of tests need not be large.
        self.patch(ledger_folder, "create_ledger", partial(create_ledger, ring_size=RING_SIZE))
        self.patch(secrets, "randbelow", lambda _: SESSION - 1)
        self.ledger_folder = LedgerFolder(self.folder)
        self.addCleanup(self._close_ledgers)
        self.logged: list[str] = []
        observer: Any = self._observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def _close_ledgers(self) -> None:
        for ledger in self.ledger_folder.ledgers.values():
            ledger.file.close()

    def _observe(self, event: Any) -> None:
        if event.get("log_format"):
            self.logged.append(event["log_format"].format(**event))


KILLED = int(signal.SIGKILL)
