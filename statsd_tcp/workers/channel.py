"""What supervisor and workers say to each other and agree on: messages, descriptors, exit statuses; and the channel.

The channel is a socket pair of our own. A message is its length in four bytes, then msgpack; which message it is stands
in a tag. Either side's end of the channel means that the other has ended: no other process holds the descriptors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from statsd_tcp.aggregate.batches import Brought
from statsd_tcp.aggregate.encoding import VERSION_1
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.settings.repeat import Target
from statsd_tcp.sockets.tls import TlsMaterial
from statsd_tcp.wire.grammar import Framing

__all__ = [
    "CANNOT_BOOT",
    "CHANNEL_DESCRIPTOR",
    "FAILED",
    "FIRST_SOCKET",
    "LEDGER_DESCRIPTOR",
    "Boot",
    "Channel",
    "Collect",
    "Committed",
    "Drain",
    "Gathered",
    "LaneKind",
    "LaneSpec",
    "Ready",
    "Retire",
    "one_channel",
]

CHANNEL_DESCRIPTOR = 3
LEDGER_DESCRIPTOR = 4

FIRST_SOCKET = 5
"""The worker's first listening socket; the others follow."""

CANNOT_BOOT = 3
"""Exit status of a worker that never accepted anything: trying again would not help."""

FAILED = 70
"""Exit status of a worker that had to stop because of a fault of the program (EX_SOFTWARE)."""

LARGEST_MESSAGE = 1 << 30
"""Bytes: an interval of a hundred thousand series has a few million."""


LaneKind = Literal["count", "lines", "tls", "datagrams"]
"""What a lane does with its socket."""


class LaneSpec(msgspec.Struct, frozen=True):
    """One inherited socket: its descriptor in the worker, its address family, and the listener that it belongs to.

    ``index`` is the listener's among the labels, ``framing`` how its connections say where a line ends. ``proxy``: the
    version of the PROXY protocol whose header comes first, "" for none; ``trust``: the networks that it may come from.
    ``confirms``: a client that has ended its side is told that all is in a journal. ``sources``: it is told who
    sends, if that is told at all; of connections it always is. ``stores``: a client may send batches, and is told
    which are in the store.
    """

    descriptor: int
    family: int
    index: int
    kind: LaneKind
    framing: Framing = "lines"
    proxy: str = ""
    trust: tuple[str, ...] = ()
    confirms: bool = False
    sources: bool = True
    stores: bool = False


class Boot(msgspec.Struct, frozen=True, tag=True):
    """The supervisor's first message: all that a worker needs to know that is not in its ledger's directory.

    ``connections`` is how many may be open, ``idle_timeout`` in seconds. ``tls`` is by the index of the listener.
    ``repeat``: where accepted lines are sent on to. ``cpu``: the processor to stay on, None: any.
    ``first_byte_timeout`` is in seconds, 0: none, as for the releases that did not know it. ``interval``: the version
    of `Gathered.interval` that the supervisor reads, which that of release 0.1.0 does not say. One that asks for a
    session reads the present version. ``max_age`` is in seconds, 0: none. ``sources``: the descriptor of the memory in
    which sources are counted, 0: they are not. ``limits``: that of the memory of their limits, 0: there are none, and
    ``column`` the worker's column in it.
    """

    ledger_path: str
    lanes: tuple[LaneSpec, ...]
    connections: int
    idle_timeout: float
    tls: dict[int, TlsMaterial] = {}
    repeat: tuple[Target, ...] = ()
    cpu: int | None = None
    first_byte_timeout: float = 0.0
    interval: int = VERSION_1
    max_age: float = 0.0
    sources: int = 0
    limits: int = 0
    column: int = 0


class Collect(msgspec.Struct, frozen=True, tag=True):
    """The supervisor asks for what was aggregated since the last time.

    ``session``: the token of a session in which counters are said by number (`statsd_tcp.aggregate.numbered`), in this
    answer and all that come unasked after it; another than before: of a new session. 0, as of the releases that did
    not know it: counters are said by name.
    """

    session: int = 0


class Committed(msgspec.Struct, frozen=True, tag=True):
    """The supervisor says up to where the journal is in the store, so that its space can be used again.

    ``whole``: nothing before that was left out since it last said so. ``node`` is the UUID of the store, "" as of the
    releases that did not say it.
    """

    offset: int
    whole: bool = True
    node: str = ""


class Drain(msgspec.Struct, frozen=True, tag=True):
    """The supervisor asks to read and count what waits, close everything, and answer with what is left.

    ``session`` is as in `Collect`. ``seconds``: after how many the worker is killed; the default is for the releases
    that did not say it.
    """

    session: int = 0
    seconds: float = 5.0


class Retire(msgspec.Struct, frozen=True, tag=True):
    """The supervisor asks to accept nothing more, because a successor does, and to serve what is open to its end.

    ``session`` is as in `Collect`.
    """

    session: int = 0


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker accepts."""


class Gathered(msgspec.Struct, frozen=True, tag=True):
    """The worker's answer to `Collect`, `Drain` and `Retire`, or its own wish for an early commit.

    ``interval`` is an encoded `statsd_tcp.aggregate.interval.Interval`, made from the journal between the offsets
    ``start`` and ``end``; empty when nothing was received. ``last``: there will be no other, the worker is done.
    ``repeated``: what became of the lines for each target to which they are sent on. ``examples``: some of the lines
    that were rejected. ``batches``: what came of batches, which is not in the interval. ``urgent``: the worker is about
    to end, and clients wait until all that came from it is in the store.
    """

    start: int
    end: int
    interval: bytes
    last: bool = False
    repeated: tuple[Repeated, ...] = ()
    examples: tuple[Example, ...] = ()
    batches: Brought = Brought()
    urgent: bool = False


ToWorker = Boot | Collect | Committed | Drain | Retire
FromWorker = Ready | Gathered
Message = ToWorker | FromWorker

_DECODER = msgspec.msgpack.Decoder(Message)
_ENCODER = msgspec.msgpack.Encoder()


class Channel(Int32StringReceiver):
    """One end of a channel. ``received`` gets every message, ``ended`` is called once when the other side is gone."""

    MAX_LENGTH = LARGEST_MESSAGE
    noisy = False

    def __init__(self, received: Callable[[Message], None], ended: Callable[[], None]) -> None:
        self._received = received
        self._ended = ended

    def send(self, message: Message) -> None:
        """Send one message; after the end of the channel it goes nowhere."""
        if self.connected:
            self.sendString(_ENCODER.encode(message))

    def stringReceived(self, string: bytes) -> None:
        """Decode one message and pass it on."""
        self._received(_DECODER.decode(string))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Report that the other side is gone."""
        self.connected = 0
        self._ended()

    def descriptor(self) -> int:
        """Return the descriptor of the channel's end."""
        transport: Any = self.transport
        return int(transport.fileno())

    def unread(self) -> bytes:
        """Return what was received of a message that is not whole yet."""
        rest: bytes = self._unprocessed
        return rest

    def close(self) -> None:
        """End the channel once everything is sent."""
        if self.transport is not None:
            self.transport.loseConnection()


class _OneChannel(Factory):
    """Makes no protocol but the channel that it was given."""

    noisy = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return the channel."""
        return self._channel


def one_channel(channel: Channel) -> Factory:
    """Return a factory for exactly this channel, for ``adoptStreamConnection``."""
    return _OneChannel(channel)
