"""A client that takes more places than the service has, and never says anything."""

from __future__ import annotations

import select
import socket
import time
from errno import EINPROGRESS
from pathlib import Path

from tests.torture.books import SILENT, Book, Visit
from tests.torture.guests import CUT_OFF, PATIENCE

__all__ = ["Hog"]

SOURCE = "127.0.0.66"

CHECK = 0.1


class _Place:
    """A connection that says nothing."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.sock = socket.socket()
        self.connected = False
        self.enough = False


class Hog:
    """Opens ``number`` connections to ``port`` at a time. It keeps its own ``book``, which must be closed."""

    def __init__(self, port: int, number: int, book: Path) -> None:
        self._port = port
        self._number = number
        self._writing = Book(book)
        self.book = book

    def close(self) -> None:
        """Come no more."""
        self._writing.close()

    def take_all(self, seconds: float) -> None:
        """Open all, and let go of those that are left after some seconds."""
        poll, places = select.epoll(), dict[int, _Place]()
        with poll:
            for _ in range(self._number):
                self._take(poll, places)
            until = time.monotonic() + seconds
            while places:
                now = time.monotonic()
                for descriptor, events in poll.poll(CHECK):
                    self._answer(poll, places, descriptor, events)
                if now > until:
                    for descriptor, place in list(places.items()):
                        if place.connected and not place.enough:
                            self._leave(places, descriptor)
                        if now > until + PATIENCE:
                            self._end(places, descriptor, "TimeoutError")

    def _take(self, poll: select.epoll, places: dict[int, _Place]) -> None:
        place = _Place()
        sock, descriptor = place.sock, place.sock.fileno()
        sock.setblocking(False)
        sock.bind((SOURCE, 0))
        places[descriptor] = place
        code = sock.connect_ex(("127.0.0.1", self._port))
        if code and code != EINPROGRESS:
            self._end(places, descriptor, type(OSError(code, "")).__name__)
            return
        place.connected = not code
        poll.register(descriptor, select.EPOLLIN | (select.EPOLLOUT if code else 0))

    def _answer(self, poll: select.epoll, places: dict[int, _Place], descriptor: int, events: int) -> None:
        place = places.get(descriptor)
        if place is None:
            return
        code = place.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            place.connected = place.connected or code in CUT_OFF
            self._end(places, descriptor, type(OSError(code, "")).__name__)
        elif not place.connected:
            place.connected = True
            poll.modify(descriptor, select.EPOLLIN)
        elif events & (select.EPOLLIN | select.EPOLLHUP):
            try:
                place.sock.recv(1)
                self._end(places, descriptor, "")
            except OSError as error:
                self._end(places, descriptor, type(error).__name__)

    def _leave(self, places: dict[int, _Place], descriptor: int) -> None:
        place = places[descriptor]
        place.enough = True
        try:
            place.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._end(places, descriptor, type(error).__name__)

    def _end(self, places: dict[int, _Place], descriptor: int, error: str) -> None:
        place = places.pop(descriptor, None)
        if place is not None:
            place.sock.close()
            let_go = not error and not place.enough
            self._writing.add(Visit(SILENT, place.began, time.monotonic(), place.connected, error, (), let_go))
