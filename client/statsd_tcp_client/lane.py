"""A lane of the pool: one connection after the other, and what is unconfirmed in between. Pure: time comes in.

    idle --resolve()--> dialling --connected()--> greeting --!node--> open --batch of `read`--> ending
      ^                    |                          |                 |                          |
      +--------------------+--------------------------+-----lost()------+--------------------------+

Without the level `stored` there is no greeting. A driver writes `outgoing`, tells `taken`, ends its side when
`half_closes`, and closes the connection when `finished`; all ends are `lost`.

With `stored` a lane has an id, and numbers its batches. The server drops a batch of an id whose number is not above
that of the last one that it has stored. So the batches of a lane are sent in their order, and after a break those
without an answer first, in their order, and only to the store that greeted before.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Literal

from statsd_tcp_client.batch import Batch, Outbox
from statsd_tcp_client.books import Books
from statsd_tcp_client.owed import Owed
from statsd_tcp_client.session import MOST_UNDER_WAY, Event, Fault, Greeted, Read, Refused, Session, Stored
from statsd_tcp_client.settings import Settings

__all__ = ["Lane", "State"]

State = Literal["idle", "dialling", "greeting", "open", "ending"]

_MOST_ATTEMPTS = 3
"""A batch that arrives damaged this often is dropped."""

_DAMAGED = frozenset({"crc", "lines"})
_CROWDED = frozenset({"window", "memory"})
"""Reasons for which a batch may be sent again: others say that it can never be accepted."""

_STRAYS_AGE = (5.0, 10.0)
"""With batches that belong to another node a connection is replaced soon: the next one may lead there."""


class Lane:
    """One connection at a time, and what it still owes."""

    def __init__(self, settings: Settings, client_id: str, books: Books, outbox: Outbox, random: Random) -> None:
        """``outbox`` gets back what was not sent at all."""
        self.client_id = client_id
        self.state: State = "idle"
        self.outgoing = bytearray()
        """What the kernel has not taken yet."""
        self.half_closes = False
        """The client's side ends behind what is outgoing."""
        self.finished = False
        """The connection is to be closed."""
        self.owed = Owed(books)
        """Batches without an answer. Only with `stored` they outlive a connection."""
        self.attempt = random.randrange(1000)
        """Which of several addresses is next: many processes begin with different ones."""
        self._settings = settings
        self._books = books
        self._outbox = outbox
        self._random = random
        self._session = Session(settings.level, client_id)
        self._seq = 0
        self._node = ""
        self._marks: deque[tuple[int, Batch]] = deque()
        """Where batches end in the bytes of this connection."""
        self._written = 0
        self._taken = 0
        self._broke = False
        self._refused = False
        self._retire_at = self._idle_at = self._give_up_at = float("inf")

    @property
    def is_cut_short(self) -> bool:
        """Whether a connection that ended now would have failed."""
        return self._refused or self.state in {"dialling", "greeting"} or not self._is_quiet

    @property
    def wants_connection(self) -> bool:
        """Whether only a connection can bring the answers that are missing."""
        return self.state == "idle" and bool(self.owed)

    def can_take(self, now: float) -> bool:
        """Return whether another batch may be given to this lane."""
        if self.state != "open" or self.finished or now >= self._retire_at:
            return False
        if self._settings.level == "stored":
            return len(self._mine) < MOST_UNDER_WAY
        return not self.outgoing

    # What the driver does and tells.

    def resolve(self) -> None:
        """An attempt begins, for which the name is resolved first. That takes as long as it takes."""
        self.state = "dialling"
        self.attempt += 1
        self._give_up_at = float("inf")

    def dial(self, now: float) -> None:
        """The connection itself is being made."""
        self._give_up_at = now + self._settings.connect_timeout

    def connected(self, now: float) -> None:
        """The connection is there."""
        self._books.connections += 1
        self._books.reconnects += self._broke
        self._broke = False
        self._session = Session(self._settings.level, self.client_id)
        self._written = self._taken = 0
        self._write(self._session.begin())
        self._idle_at = now + self._settings.idle
        if self._settings.level == "stored":
            self.state = "greeting"
            self._give_up_at = now + self._settings.answer_timeout
        else:
            self._open(now, "")

    def received(self, data: bytes, now: float) -> bool:
        """Take what the server has sent; return whether something was confirmed."""
        confirmed = False
        for event in self._session.receive(data):
            confirmed = self._follow(event, now) or confirmed
        return confirmed

    def taken(self, number: int, now: float) -> None:
        """The kernel has taken this many bytes of what is outgoing."""
        del self.outgoing[:number]
        self._taken += number
        self._give_up_at = now + self._settings.answer_timeout
        while self._marks and self._marks[0][0] <= self._taken:
            _, batch = self._marks.popleft()
            if not batch.taken:
                batch.taken = True
                self._books.sent += batch.made
            if self._settings.level == "sent":
                self._confirm(self._mine.popleft())
        self._rest()

    def lost(self, error: str = "") -> None:
        """The connection has ended, or was never made; ``error`` says how if that was not in good order."""
        failed = self.state == "dialling"
        if error:
            self._books.last_error = error
        if failed:
            self._books.failures += 1
        elif error or self.is_cut_short:
            self._broke = True
        if self._settings.level != "stored":
            self._part()
        self._marks.clear()
        self.outgoing.clear()
        self.half_closes = self.finished = self._refused = False
        self._node = ""
        self.state = "idle"
        self._retire_at = self._idle_at = self._give_up_at = float("inf")

    # What the engine does.

    def give(self, batch: Batch, now: float) -> None:
        """Send a batch, which gets its number."""
        self._seq += 1
        batch.seq = self._seq
        self._mine.append(batch)
        self._books.batches += 1
        self._books.under_way += batch.made
        self._send(batch, now)
        self._idle_at = now + self._settings.idle
        if self._settings.level == "read":
            self.state = "ending"
            self.half_closes = True

    def check(self, now: float) -> str:
        """Return why the connection must be given up now; nothing if it need not. May set `finished`."""
        if now >= self._give_up_at:
            if self.state == "dialling":
                return "no connection in time"
            return "no greeting in time" if self.state == "greeting" else "no answer in time"
        if self.state == "open" and self._is_quiet and now >= min(self._retire_at, self._idle_at):
            self.finished = True
        return ""

    def forget(self, now: float) -> None:
        """Give up batches that are too old to be sent again."""
        self.owed.forget_old(now, self._settings.resend, self._node)

    def forget_strays(self) -> None:
        """Give up batches of nodes that are away, if there are too many."""
        self.owed.forget_others(self._settings.max_strays, self._node)

    def retire(self) -> None:
        """Close the connection as soon as nothing is under way on it."""
        self._retire_at = 0.0

    def next_check(self) -> float:
        """Return the time at which `check` may have something to say."""
        if self.finished:
            return 0.0
        if self.state == "open" and self._is_quiet:
            return min(self._retire_at, self._idle_at)
        return self._give_up_at

    # Inside.

    @property
    def _mine(self) -> deque[Batch]:
        return self.owed.of(self._node)

    @property
    def _is_quiet(self) -> bool:
        """Whether the connection can end without harm."""
        return self.state != "dialling" and not self.outgoing and not self._mine

    def _open(self, now: float, node: str) -> None:
        self._node = node
        self.state = "open"
        age = _STRAYS_AGE if self.owed.has_others(node) else self._settings.age
        self._retire_at = now + self._random.uniform(*age)
        for batch in self._mine:
            self._books.repeated += 1
            self._send(batch, now)
        self._rest()

    def _send(self, batch: Batch, now: float) -> None:
        self._write(self._session.frame(batch.seq, batch.data, batch.lines))
        self._marks.append((self._written, batch))
        self._give_up_at = now + self._settings.answer_timeout

    def _write(self, data: bytes) -> None:
        self.outgoing += data
        self._written += len(data)

    def _rest(self) -> None:
        """Wait for nothing, if nothing is under way."""
        if self.state == "open" and self._is_quiet:
            self._give_up_at = float("inf")

    def _confirm(self, batch: Batch) -> None:
        self._books.confirm(batch.made)

    def _follow(self, event: Event, now: float) -> bool:
        if isinstance(event, Greeted) and self.state == "greeting":
            self._open(now, event.node)
            return False
        if isinstance(event, Stored) and self._mine and event.seq == self._mine[0].seq:
            self._books.bad_lines += event.bad
            self._confirm(self._mine.popleft())
            self._give_up_at = now + self._settings.answer_timeout
            self._rest()
            return True
        if isinstance(event, Read) and self.state == "ending" and self._mine and not self.outgoing:
            self._confirm(self._mine.popleft())
            self.finished = True
            return True
        self._break_off(event)
        return False

    def _break_off(self, event: Event) -> None:
        """End a connection on which there is nothing more to come."""
        self.finished = self._refused = True
        if isinstance(event, Refused):
            self._books.last_error = f"batch {event.seq} refused: {event.reason}"
            self._refuse(event)
        else:
            said = event.text if isinstance(event, Fault) else repr(event)
            self._books.last_error = f"unexpected answer: {said}"

    def _refuse(self, event: Refused) -> None:
        """Drop the batch if it will always be refused; otherwise it is sent again on the next connection."""
        batch = next((batch for batch in self._mine if batch.seq == event.seq), None)
        if batch is None or event.reason in _CROWDED:
            return
        batch.attempts += 1
        if event.reason not in _DAMAGED or batch.attempts > _MOST_ATTEMPTS:
            self._mine.remove(batch)
            self._books.refuse(batch.made)

    def _part(self) -> None:
        """Close the books on a connection's batches: what was not sent at all goes back, the rest is in doubt."""
        begins = [end - len(batch.data) for end, batch in self._marks]
        unsent = [batch for begin, (_, batch) in zip(begins, self._marks) if begin >= self._taken]
        for batch in reversed(unsent):
            self._mine.remove(batch)
            self._books.under_way -= batch.made
            self._books.batches -= 1
            self._outbox.put_back(batch.lot, batch.pieces)
        while self._mine:
            self._books.doubt(self._mine.popleft().made)
