"""What the console asks for, gathered from the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.aggregate.collisions import Group
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.commit.committer import Committer
from statsd_tcp.console.activity import Activity
from statsd_tcp.console.interfaces import CommandError, IConsoleSources, IOpenFlush
from statsd_tcp.console.open_flush import open_series
from statsd_tcp.console.replies import deleted, series_dump
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.settings.config_text import config_text
from statsd_tcp.settings.settings import Settings
from statsd_tcp.status.health import Health
from statsd_tcp.status.report import Report
from statsd_tcp.status.who_table import BY, as_text, table
from statsd_tcp.store.search import Kind, Search

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.store.database import Store

__all__ = ["ServiceView", "StoredFlush", "conflict_rows", "example_rows", "output_rows"]


SHOWN, MOST_SHOWN = 20, 1000
"""Sources that are shown, unless another number is given, and at most."""

SEARCHED = 10_000
"""Series that are looked at in one go: at most a few tenths of a second if the patterns are the worst ones."""

DELETED = 10_000
MOST_PARTS = 10
"""Series that are deleted in one transaction, and how many of those there are at most: each copies the columns of all
that stay, so that many small ones would take longer in all."""


@implementer(IOpenFlush)
class StoredFlush:
    """The open flush as the store has it, which is about a second behind the clients."""

    def __init__(self, committer: Committer, timers: TimerRules) -> None:
        self._committer = committer
        self._timers = timers
        self._asked: dict[Group, list[Deferred[bytes]]] = {}

    def series(self, kind: Group) -> Deferred[bytes]:
        """Return the series of a kind, written where they are found: the reactor would stand still for it.

        All who ask before that begins get the same.
        """
        answer: Deferred[bytes] = Deferred()
        waiting = self._asked.get(kind)
        if waiting is not None:
            waiting.append(answer)
            return answer
        waiting = self._asked[kind] = [answer]
        self._committer.ask(partial(self._write, kind)).addBoth(self._answer, kind, waiting)
        return answer

    def _write(self, kind: Group, store: Store) -> bytes:
        del self._asked[kind]
        return series_dump(open_series(store, kind, self._timers))

    def _answer(self, result: bytes | Failure, kind: Group, waiting: Sequence[Deferred[bytes]]) -> None:
        if self._asked.get(kind) is waiting:
            # There is no store that could have been asked.
            del self._asked[kind]
        for answer in waiting:
            answer.callback(result)

    def delete(self, kind: Kind, patterns: Sequence[str]) -> Deferred[str]:
        """Delete series; when it is done, the pages do not show them either.

        The store's thread does it in parts, between which commits have their turn.
        """
        return Deferred.fromCoroutine(self._delete(kind, patterns))

    async def _delete(self, kind: Kind, patterns: Sequence[str]) -> str:
        ask = self._committer.ask
        search = Search(patterns)
        for part in _parts(await ask(lambda store: store.deletable(kind)), SEARCHED):
            await ask(partial(_look_at, search, part))
        found = search.found
        # What commits add meanwhile is of series that come again.
        ids = await ask(lambda store: store.parts())
        while found and ids:
            ids = await ask(partial(_strip, kind, set(found), ids))
        for part in _parts(found, max(DELETED, len(found) // MOST_PARTS)):
            await ask(partial(_delete, kind, part))
        await self._committer.commit()
        return await ask(lambda _: deleted(search.deletions))


@implementer(IConsoleSources)
class ServiceView:
    """The rest of what the console shows."""

    def __init__(self, health: Health, report: Report, activity: Activity, settings: Settings) -> None:
        self._health = health
        self._report = report
        self._activity = activity
        self._settings = settings

    @property
    def up(self) -> bool:
        """Set the health that the operator reports; `status.interfaces.ISources.ready` follows it."""
        return self._health.up

    @up.setter
    def up(self, value: bool) -> None:
        self._health.up = value

    def stats(self) -> Iterator[tuple[str, object]]:
        """Yield how long, when last, how many bad lines, and how the outputs do."""
        uptime = int(self._report.uptime())
        yield "uptime", uptime
        yield "messages.last_msg_seen", self._activity.silence
        yield "messages.bad_lines_seen", self._activity.bad_lines
        yield from output_rows(self._report.outputs(), uptime)

    def workers(self) -> list[dict[str, Any]]:
        """Describe the workers."""
        workers: list[dict[str, Any]] = self._report.status()["workers"]
        return workers

    def bad_lines(self) -> Iterator[tuple[str, object]]:
        """Return the examples."""
        return example_rows(self._report.examples())

    def conflicts(self) -> Iterator[tuple[str, object]]:
        """Return what could not be shown."""
        return conflict_rows(self._report.conflicts())

    def who(self, arguments: Sequence[str], peer: Any) -> Deferred[Sequence[str]]:
        """Return sources as lines."""
        return maybeDeferred(self._who, arguments, peer)

    def _who(self, arguments: Sequence[str], peer: Any) -> Deferred[Sequence[str]]:
        who = self._report.who
        if not who.may_see(peer):
            raise CommandError("sources are shown over loopback, and to the networks of --who-to")
        if not who.counts:
            raise CommandError("sources are not counted: --who says when they are")
        number, by = _top_of(arguments)
        return who.fresh().addCallback(lambda _: as_text(table(who.rows(number, by))))

    def config(self) -> str:
        """Write the settings."""
        return config_text(self._settings)


def _top_of(arguments: Sequence[str]) -> tuple[int, str]:
    """Read the arguments of ``who``: how many, and by what, in any order."""
    number, by = SHOWN, BY[0]
    for word in arguments:
        if word.isascii() and word.isdigit() and 0 < int(word[:9]) <= MOST_SHOWN:
            number = int(word)
        elif word in BY:
            by = word
        else:
            raise CommandError(f"write who [1 to {MOST_SHOWN}] [{'|'.join(BY)}]")
    return number, by


def _strip(kind: Kind, gone: AbstractSet[str], ids: range, store: Store) -> range:
    return store.strip(kind, gone, ids)


def _delete(kind: Kind, gone: Sequence[str], store: Store) -> None:
    store.delete(kind, gone)


def _look_at(search: Search, series: Sequence[str], _: Store) -> None:
    search.take(series)


def _parts(series: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (series[start : start + size] for start in range(0, len(series), size))


def output_rows(outputs: Sequence[OutputFacts], uptime: int) -> Iterator[tuple[str, object]]:
    """Write how outputs do. ``last_flush`` is how many seconds ago that was, at the longest since the start.

    The only output of its kind is called by its kind alone, as etsy's server and the scripts for it do: ``graphite``.
    """
    kinds = Counter(facts.name.partition(":")[0] for facts in outputs)
    for facts in outputs:
        kind = facts.name.partition(":")[0]
        name = kind if kinds[kind] == 1 else facts.name
        yield f"{name}.last_flush", uptime if facts.since_success is None else round(facts.since_success)
        for field in ("queued", "sent", "failed", "dropped"):
            yield f"{name}.{field}", getattr(facts, field)


def example_rows(examples: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, object]]:
    """Write examples of what was rejected, each with its age and its listener before what is foreign."""
    for one in examples:
        where = f", {one['listener']}" if one["listener"] else ""
        more = " ..." if one["cut"] else ""
        yield one["reason"], f"{one['age_seconds']:.0f} s ago{where}: {one['text']}{more}"


def conflict_rows(conflicts: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, object]]:
    """Write series that could not be shown, each with its type, and the one that is shown."""
    for one in conflicts:
        shown = f"; shown is {one['holder']} ({one['holder_type']})" if one["holder_type"] else ""
        yield one["reason"], f"{one['series']} ({one['type']}){shown}"
