"""From a command to its reply."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.aggregate.collisions import GROUPS, Group
from statsd_tcp.console import replies
from statsd_tcp.console.commands import Command
from statsd_tcp.console.interfaces import CommandError
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.search import DELETABLE, Kind
from statsd_tcp.words import in_words

__all__ = ["Dispatch", "Reply"]

Reply = str | bytes

MOST_CHANGES = 10
CHANGES_PERIOD = 600.0
"""Changes of the health that are logged within this many seconds: clients decide how many there are."""

_log = Logger()


class Dispatch:
    """Carries out commands, for all connections.

    ``flush`` provides `IOpenFlush`, ``sources`` `IConsoleSources`; ``seconds`` is the clock.
    """

    def __init__(self, flush: Any, sources: Any, seconds: Callable[[], float]) -> None:
        self._flush = flush
        self._sources = sources
        self._seconds = seconds
        self._changes: deque[float] = deque(maxlen=MOST_CHANGES)
        self._left_out = 0
        self._commands: dict[str, Callable[[Sequence[str]], Reply | Deferred[Reply]]] = {
            "help": lambda _: replies.HELP,
            "stats": lambda _: replies.pairs(sources.stats()) + replies.END,
            "workers": lambda _: replies.dump(replies.as_json(sources.workers())),
            "badlines": lambda _: replies.pairs(sources.bad_lines()) + replies.END,
            "conflicts": lambda _: replies.pairs(sources.conflicts()) + replies.END,
            # etsy's server begins this one with an empty line, and has no end.
            "config": lambda _: "\n" + sources.config(),
            "health": self._health,
        }
        for group in GROUPS:
            self._commands[group] = partial(self._series, group)
        for kind in DELETABLE:
            self._commands[f"del{kind}"] = partial(self._delete, kind)

    def reply(self, command: Command, peer: Any = None) -> Deferred[Reply]:
        """Carry out a command, and return what is to be written; does not fail.

        ``peer`` is the address of the client, as Twisted gives it: not every client is shown sources.
        """
        if command.name == "who":
            return self._who(command.arguments, peer)
        carry_out = self._commands.get(command.name)
        if carry_out is None:
            return succeed(replies.UNKNOWN)
        made = carry_out(command.arguments)
        if not isinstance(made, Deferred):
            return succeed(made)
        return made.addErrback(_explain, command.name)

    def _who(self, arguments: Sequence[str], peer: Any) -> Deferred[Reply]:
        found: Deferred[Sequence[str]] = self._sources.who(arguments, peer)
        return found.addCallbacks(replies.lines, _explain, errbackArgs=("who",))

    def _health(self, arguments: Sequence[str]) -> str:
        wanted = arguments[0].lower() if arguments else ""
        if wanted in ("up", "down"):
            up = wanted == "up"
            if up != self._sources.up:
                self._note_change(wanted)
            self._sources.up = up
        return replies.health(self._sources.up)

    def _note_change(self, state: str) -> None:
        """Log it, unless there were many just now."""
        now = self._seconds()
        if len(self._changes) == MOST_CHANGES and now - self._changes[0] < CHANGES_PERIOD:
            self._left_out += 1
            return
        self._changes.append(now)
        number, self._left_out = self._left_out, 0
        if number:
            _log.warn("the console has changed the health {number} times more than was logged", number=number)
        _log.info("the console says that the service is {state}", state=state)

    def _series(self, kind: Group, _: Sequence[str]) -> Deferred[Reply]:
        found: Deferred[Reply] = self._flush.series(kind)
        return found

    def _delete(self, kind: Kind, patterns: Sequence[str]) -> Deferred[Reply]:
        done: Deferred[Reply] = self._flush.delete(kind, patterns)
        return done


def _explain(failure: Failure, name: str) -> str:
    if not failure.check(StoreError, CommandError):
        _log.failure("the console's command {name} failed", failure=failure, name=name)
    return replies.failure(in_words(failure.value))
