"""Every way in which a connection goes and ends, the same on both lanes and across the hand-over between them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ingest import line_lane, parking
from statsd_tcp.ledger.cells import HEARTBEAT, JOURNAL_HEAD
from statsd_tcp.ledger.journal import read_frames
from tests.unit.ingest.loopback import IDLE_TIMEOUT, MAX_LINE, Client, IngestTestCase, wait_readable

_T = TypeVar("_T", bound="type[SynchronousTestCase]")

Step = bytes | Literal["fin", "reset", "poll", "silence"]
"""What the client does (bytes are sent), or the server: ``poll`` reads what has come."""


class Case(NamedTuple):
    """One connection: what happens, and what must have been counted at its end."""

    name: str
    says: str
    steps: tuple[Step, ...]
    ends: str
    lines: tuple[bytes, ...] = ()
    rejected: dict[str, int] = {}


CASES = (
    Case("nothing_sent", "A client that sends nothing and goes is counted, and no line.", ("fin",), "eof"),
    Case("nothing_sent_late", "So is one that takes its time.", ("poll", "poll", "fin"), "eof"),
    Case("one_line", "A line with its newline is a line.", (b"a:1|c\n", "fin"), "eof", (b"a:1|c",)),
    Case("lines_at_once", "Lines that come together stay in order.", (b"a\nb\nc\n", "fin"), "eof", (b"a", b"b", b"c")),
    Case("pieces", "Lines in several pieces are all taken.", (b"a\n", "poll", b"b\n", "fin"), "eof", (b"a", b"b")),
    Case("crlf", "A carriage return stays for the grammar.", (b"a\r\nb\r\n", "fin"), "eof", (b"a\r", b"b\r")),
    Case("split_crlf", "CRLF may be split between its bytes.", (b"a\r", "poll", b"\n", "fin"), "eof", (b"a\r",)),
    Case("split", "A line may be split anywhere.", (b"a:1", "poll", b"|c\nb", "poll", b":2\n", "fin"), "eof",
         (b"a:1|c", b"b:2")),
    Case("trickle", "A line may come byte by byte.", (b"a", "poll", b":", "poll", b"1", "poll", b"\n", "fin"), "eof",
         (b"a:1",)),
    Case("empty_lines", "Empty lines are passed on, to be counted apart.", (b"\n\na\n", "fin"), "eof",
         (b"", b"", b"a")),
    Case("tail", "The last line needs no newline when the client ends cleanly.", (b"a\nb:2", "fin"), "eof",
         (b"a", b"b:2")),
    Case("split_tail", "Nor does it when it came in pieces.", (b"b", "poll", b":2", "poll", "fin"), "eof", (b"b:2",)),
    Case("reset", "A reset without a byte is a reset.", ("poll", "reset"), "reset"),
    Case("reset_at_once", "Lines that came before a reset count.", (b"a\n", "reset"), "reset", (b"a",)),
    Case("reset_later", "They do when they were read before it.", (b"a\n", "poll", "reset"), "reset", (b"a",)),
    Case("reset_tail", "After a reset half a line is no line.", (b"a\nb:2", "poll", "reset"), "reset", (b"a",),
         {"truncated": 1}),
    Case("idle", "Who sends nothing for too long is closed.", ("poll", "silence"), "idle"),
    Case("idle_lines", "Its lines count.", (b"a\n", "poll", "silence"), "idle", (b"a",)),
    Case("idle_tail", "Half a line of it does not.", (b"a\nb:2", "poll", "silence"), "idle", (b"a",), {"truncated": 1}),
    Case("longest", "A line of exactly the limit is a line.", (b"x" * (MAX_LINE - 1), "poll", b"y\n", "fin"), "eof",
         (b"x" * (MAX_LINE - 1) + b"y",)),
    Case("too_long", "A longer one is dropped up to its newline; the connection stays.",
         (b"a\n" + b"x" * MAX_LINE, "poll", b"xx", "poll", b"x\nb\n", "poll", b"c\n", "fin"), "eof",
         (b"a", b"b", b"c"), {"line_too_long": 1}),
    Case("too_long_tail", "One that never ends is dropped once.", (b"x" * (MAX_LINE + 1), "poll", b"x", "fin"), "eof",
         (), {"line_too_long": 1}),
    Case("too_long_reset", "One that a reset cuts off is not truncated as well.",
         (b"x" * (MAX_LINE + 1), "poll", "reset"), "reset", (), {"line_too_long": 1}),
    Case("two_too_long", "Each of several too long lines counts.",
         (b"x" * (MAX_LINE + 1), "poll", b"\n" + b"y" * (MAX_LINE + 1), "poll", b"\nb\n", "fin"), "eof", (b"b",),
         {"line_too_long": 2}),
    Case("binary", "Any byte but the newline is part of a line.", (b"\0\xff\r\n\x80", "fin"), "eof",
         (b"\0\xff\r", b"\x80")),
)  # fmt: skip


def with_cases(test_case: _T) -> _T:
    """Return a class one test for each case."""
    for case in CASES:

        def test(self: Any, case: Case = case) -> None:
            self.run_case(case)

        test.__doc__ = case.says
        setattr(test_case, f"test_{case.name}", test)
    return test_case


class EndingTestCase(IngestTestCase):
    """Plays a case, on the lane that the class stands for."""

    def begin(self) -> Client:
        """Connect."""
        raise NotImplementedError

    def server_ends(self) -> list[Any]:
        """Return the server's socket of the connection, if it is accepted."""
        raise NotImplementedError

    def run_case(self, case: Case) -> None:
        """Play a case, and check everything that was counted."""
        client = self.begin()
        sent = b""
        for step in case.steps:
            if isinstance(step, bytes):
                client.send(step)
                sent += step
            elif step == "fin":
                client.fin()
            elif step == "reset":
                client.reset()
                for one in self.server_ends():
                    wait_readable(one)
            elif step == "poll":
                self.poll()
            else:
                self.silence()
        for _ in range(3):
            self.poll()
        if "reset" not in case.steps:
            self.assertEqual(b"", client.end())
        self.check(case, sent)

    def poll(self) -> None:
        """Let the server read what has come."""
        self.reactor.turn()
        self.tick()

    def silence(self) -> None:
        """Let so much time pass that the server must have enough."""
        self.tick(20)
        self.reactor.pump([IDLE_TIMEOUT / 8] * 10)

    def check(self, case: Case, sent: bytes) -> None:
        """Compare what was counted."""
        self.assertEqual({case.ends: 1}, self.closed)
        self.assertEqual(1, self.accepted)
        self.assertEqual(0, self.occupancy.open)
        self.assertEqual(list(case.lines), self.tally.lines)
        self.assertEqual(case.rejected, self.tally.rejected)
        self.assertEqual(len(sent), self.tally.bytes)
        self.assertEqual([], self.failures)
        self.check_journal(case)

    def check_journal(self, case: Case) -> None:
        """Compare the journal with the lines: it has all, and nothing else."""
        head = self.cells[JOURNAL_HEAD]
        frames = list(read_frames(self.journal.ring, 0, head))
        self.assertEqual(b"".join(line + b"\n" for line in case.lines), b"".join(one.lines for one in frames))
        self.assertEqual(head, frames[-1].next if frames else 0)
        self.assertEqual(0, self.cells[HEARTBEAT])


@with_cases
class AcceptLaneTests(EndingTestCase):
    """The whole connection is dealt with by the accept lane."""

    def begin(self) -> Client:
        """Connect to a lane that is patient."""
        self.patch(line_lane, "POLLS_AT_REST", 12)
        self.line_lane()
        return self.connect()

    def server_ends(self) -> list[Any]:
        """Find the connection among those that are put off."""
        return [one._connection for one in self.moderator._again]  # type: ignore[attr-defined]

    def check(self, case: Case, sent: bytes) -> None:
        """Make sure that no transport was made of it, unless it was silent."""
        super().check(case, sent)
        self.assertEqual(int("silence" in case.steps), self.reactor.adopted)


@with_cases
class ParkedTests(EndingTestCase):
    """The accept lane is under load, and parks the connection until the client is done."""

    def begin(self) -> Client:
        """Connect to a lane that is under load."""
        self.patch(parking, "PATIENCE", 40)
        self.moderator._begin()
        self.moderator._run_if_needed(0)
        self.line_lane()
        return self.connect()

    def poll(self) -> None:
        """Let the server read what has come, as if others were coming, too."""
        self.moderator._quiet = 0
        super().poll()

    def silence(self) -> None:
        """Let so much time pass that the server must have enough."""
        self.tick(40)
        super().silence()

    def server_ends(self) -> list[Any]:
        """Find the connection among those that are parked."""
        return [one._connection for one in self.moderator.parking._parked.values()]  # type: ignore[attr-defined]

    def check(self, case: Case, sent: bytes) -> None:
        """Make sure that no transport was made of it, unless it was silent, and that nothing is left behind."""
        super().check(case, sent)
        self.assertEqual(int("silence" in case.steps), self.reactor.adopted)
        self.assertEqual(0, len(self.moderator.parking))


@with_cases
class ProtocolTests(EndingTestCase):
    """The whole connection is dealt with by Factory and Protocol, on a transport of Twisted's."""

    def begin(self) -> Client:
        """Connect, and make a transport before anything is read."""
        client, self.transport = self.adopt()
        return client

    def server_ends(self) -> list[Any]:
        """Return the transport's socket."""
        return [self.transport.socket]


@with_cases
class HandOverTests(EndingTestCase):
    """The accept lane begins, and hands the connection over after its second poll."""

    def begin(self) -> Client:
        """Connect to a lane as it is at rest."""
        self.line_lane()
        return self.connect()

    def server_ends(self) -> list[Any]:
        """Return the connection, wherever it is."""
        waiting: list[Any] = list(self.moderator._again)
        transports: list[Any] = [one.transport for one in self.factory._protocols]
        return [one._connection for one in waiting] + [one.socket for one in transports]
