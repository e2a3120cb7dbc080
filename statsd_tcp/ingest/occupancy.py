"""How many connections a worker holds open, and how many it may hold."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Occupancy"]


class Occupancy:
    """The connections of one worker that outlived their first poll.

    An accepted connection holds a descriptor, and a process that has none left can accept nothing, not even to refuse
    it. So accepting stops before that: what waits then waits in the kernel's queue, where it costs no descriptor and
    the client sees a slow server instead of a reset.

    A lane that finds no room calls `make_room`, pauses if there is none yet, and asks to be called by `when_room`. The
    lanes read and write ``open`` directly: they are on the hot path.
    """

    __slots__ = ("_waiting", "limit", "make_room", "open")

    def __init__(self, limit: int) -> None:
        """Allow that many."""
        self.limit = limit
        self.open = 0
        self.make_room: Callable[[], bool] = self.has_room
        """Closes what may be closed for others, and returns whether there is room now."""
        self._waiting: list[Callable[[], None]] = []

    def has_room(self) -> bool:
        """Return whether one more may be open."""
        return self.open < self.limit

    @property
    def is_scarce(self) -> bool:
        """Return whether three quarters of the places are taken."""
        return 4 * self.open >= 3 * self.limit

    @property
    def is_awaited(self) -> bool:
        """Return whether a lane waits for room."""
        return bool(self._waiting)

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once, as soon as a connection has ended."""
        self._waiting.append(resume)

    def leave(self) -> None:
        """Note that a connection has ended."""
        self.open -= 1
        if self._waiting and self.open < self.limit:
            waiting, self._waiting = self._waiting, []
            for resume in waiting:
                resume()
