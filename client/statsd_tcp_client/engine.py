"""What all shells drive: the lanes of the pool, and what is to be done when. Pure: time and chance come in.

    numbers --take--> outbox --cut--> batches --give--> lanes --outgoing--> (the driver's sockets)

Numbers are only taken when a lane can take a batch. Until then they go on adding up, in bounded room.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from random import Random
from typing import Callable

from statsd_tcp_client.batch import Batch, Outbox
from statsd_tcp_client.books import Books, Stats
from statsd_tcp_client.lane import Lane
from statsd_tcp_client.numbers import Numbers
from statsd_tcp_client.series import Piece, Series
from statsd_tcp_client.session import MOST_BYTES
from statsd_tcp_client.settings import Settings

__all__ = ["Engine", "new_id"]

_OWN = "statscounter.client."


def new_id() -> str:
    """Return an id for a lane, 128 bits by chance."""
    return os.urandom(16).hex()


class Engine:
    """Hands numbers to lanes, and says which of them should connect.

    ``numbers`` is looked at; ``take`` empties it, and is called with nothing locked.
    """

    def __init__(
        self,
        settings: Settings,
        numbers: Numbers,
        take: Callable[[], list[Series]],
        *,
        random: Random,
        make_id: Callable[[], str] = new_id,
    ) -> None:
        self.books = Books()
        self.outbox = Outbox()
        self.lanes = [Lane(settings, make_id(), self.books, self.outbox, random) for _ in range(settings.pool)]
        self.lot = 0
        """How often numbers were taken."""
        self.known_lost = 0
        """The calls in doubt, or refused, of which the program was told by the result of a flush."""
        self._settings = settings
        self._numbers = numbers
        self._take = take
        self._random = random
        self._due_at: float | None = None
        self._forced = False
        self._retry_at = 0.0
        self._failed = 0
        self._turn = 0
        self._next: Lane | None = None
        self._told: dict[str, int] = {}
        self._at_exit = 0

    # Asked by the drivers.

    def begin(self, now: float) -> None:
        """A driver begins: connections of an earlier one, which has not ended them, are lost."""
        for lane in self.lanes:
            if lane.state != "idle":
                self.end(lane, "", now)
        self.succeeded()

    def turn(self, now: float) -> Lane | None:
        """Do what is due; return a lane that should connect, if one should."""
        self._note_numbers(now)
        for lane in self.lanes:
            lane.forget(now)
        if self._is_due(now):
            self._hand_out(now)
        return self._to_dial(now)

    def next_turn(self, now: float) -> float | None:
        """Return the seconds until `turn` or a lane's `check` may have something to do; None: until something comes."""
        times = [lane.next_check() for lane in self.lanes]
        if self._due_at is not None and not self._is_due(now):
            times.append(self._due_at)
        elif self._needs_lane(now) and not self._is_dialling and any(lane.state == "idle" for lane in self.lanes):
            times.append(self._retry_at)
        at = min(times)
        return None if at == float("inf") else max(0.0, at - now)

    def succeeded(self) -> None:
        """Something was confirmed: the next failure is a first one."""
        self._failed = 0
        self._retry_at = 0.0

    def end(self, lane: Lane, error: str, now: float) -> None:
        """A lane's connection has ended; ``error`` is empty when it was in good order, as far as the driver can know.

        After a failure there is a pause by chance, at most twice as long each time.
        """
        failed = bool(error) or lane.is_cut_short
        lane.lost(error)
        if failed:
            first, longest = self._settings.backoff
            # Beyond 2^30 the longest is reached, whatever it is.
            self._retry_at = now + self._random.uniform(0, min(longest, first * 2 ** min(self._failed, 30)))
            self._failed += 1

    def force(self) -> int:
        """Have everything sent at once, without a pause before that; return the lot with which that is done."""
        waits = bool(self._numbers)
        self._forced = True
        self._retry_at = 0.0
        return self.lot + waits

    def is_settled(self, lot: int) -> bool:
        """Return whether nothing of this lot, or of an earlier one, waits for an answer."""
        if self.lot < lot:
            return False
        waiting = self.outbox.lots()
        return not (0 < waiting <= lot) and all(each > lot for lane in self.lanes for each in lane.owed.lots())

    def nothing_lost(self, known: int) -> bool:
        """Return whether no more calls than the ``known`` ones were lost, and know the others from now on."""
        self.known_lost = self._lost
        return self._lost == known

    def abandon(self) -> None:
        """Close the books: nothing more will be sent."""
        for lane in self.lanes:
            lane.lost()
            lane.owed.forget_all()
        series = self._take()
        self._at_exit += self.outbox.clear() + sum(each.made for each in series)
        self.known_lost = self._lost

    def retire(self) -> None:
        """Have all connections replaced, as soon as nothing is under way on them."""
        for lane in self.lanes:
            lane.retire()

    def stats(self) -> Stats:
        """Return what became of every call until now."""
        books, numbers = self.books, self._numbers
        dropped = dict(numbers.dropped)
        dropped["refused"] += books.refused
        dropped["exit"] += self._at_exit
        waiting = numbers.made + self.outbox.made
        settled = books.under_way + books.confirmed + books.in_doubt
        return Stats(
            made=waiting + settled + sum(dropped.values()),
            waiting=waiting,
            under_way=books.under_way,
            sent=books.sent,
            confirmed=books.confirmed,
            in_doubt=books.in_doubt,
            dropped=dropped,
            examples=dict(numbers.examples),
            batches=books.batches,
            repeated=books.repeated,
            bad_lines=books.bad_lines,
            connections=books.connections,
            reconnects=books.reconnects,
            failures=books.failures,
            last_error=books.last_error,
        )

    # Inside.

    @property
    def _lost(self) -> int:
        return self.books.in_doubt + self.books.refused

    def _note_numbers(self, now: float) -> None:
        """Begin the interval with the first number, so that a program at rest costs nothing."""
        if self._due_at is None and (self._numbers or self.outbox):
            self._due_at = now + self._settings.interval

    def _is_due(self, now: float) -> bool:
        return self._forced or (self._due_at is not None and now >= self._due_at)

    def _has_work(self) -> bool:
        return bool(self._numbers or self.outbox)

    def _hand_out(self, now: float) -> None:
        """Hand what waits to the lanes, and once what has been counted since."""
        if not self._has_work():
            self._due_at, self._forced = None, False
            return
        lot = self.lot
        lanes = self._in_turn()
        # Also when another lane takes what there is now: so all lanes of the pool come to be used.
        self._next = lanes[0] if lanes[0].state == "idle" else None
        for lane in lanes:
            if lane.can_take(now):
                self._fill(lane, now)
                if self.lot == lot and not self.outbox:
                    self._collect()
                    self._fill(lane, now)
        self._numbers.held = self.outbox.bytes
        if not self.outbox and (self.lot > lot or not self._numbers):
            self._due_at, self._forced = None, False

    def _in_turn(self) -> tuple[Lane, ...]:
        """Return the lanes, each time beginning with the next one."""
        self._turn = (self._turn + 1) % len(self.lanes)
        return (*self.lanes[self._turn :], *self.lanes[: self._turn])

    def _collect(self) -> None:
        """Take the numbers."""
        if self._numbers:
            self.lot += 1
            self.outbox.add(self.lot, self._take())
            if self._settings.own_lines:
                for piece in self._own_lines():
                    self.outbox.append(self.lot, piece)

    def _fill(self, lane: Lane, now: float) -> None:
        ordered = lane is self.lanes[0]
        lane.forget_strays()
        while lane.can_take(now) and self.outbox.has(ordered=ordered):
            lot, pieces = self.outbox.take(MOST_BYTES, ordered=ordered)
            data = b"".join(piece.data for piece in pieces)
            lines, made = sum(piece.lines for piece in pieces), sum(piece.made for piece in pieces)
            # With `stored` a batch is sent again as it is.
            kept = () if self._settings.level == "stored" else tuple(pieces)
            lane.give(Batch(0, data, lines, made, lot, now, kept), now)

    def _own_lines(self) -> Iterable[Piece]:
        """Yield lines about what went wrong since the last ones. They are in no books."""
        stats = self.stats()
        facts = {f"dropped.{reason}": number for reason, number in stats.dropped.items()}
        facts["in_doubt"] = stats.in_doubt
        facts["reconnects"] = stats.reconnects
        for fact, number in facts.items():
            more = number - self._told.get(fact, 0)
            if more > 0:
                self._told[fact] = number
                line = f"{self._settings.start}{_OWN}{fact}:{more}|c{self._settings.section}\n"
                yield Piece(line.encode(), 1, 0)

    @property
    def _is_dialling(self) -> bool:
        return any(lane.state in {"dialling", "greeting"} for lane in self.lanes)

    def _needs_lane(self, now: float) -> bool:
        """Return whether a connection is missing: for answers, or because work is due."""
        return any(lane.wants_connection for lane in self.lanes) or (self._is_due(now) and self._has_work())

    def _to_dial(self, now: float) -> Lane | None:
        """Choose a lane to connect: one at a time, and none during a pause."""
        if self._is_dialling or now < self._retry_at:
            return None
        idle = [lane for lane in self.lanes if lane.state == "idle"]
        owing = [lane for lane in idle if lane.wants_connection]
        if owing:
            return owing[0]
        if self._next in idle:
            chosen, self._next = self._next, None
            return chosen
        return idle[0] if idle and self._is_due(now) and self._has_work() else None
