"""What the console asks of the service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from statsd_tcp.aggregate.collisions import Group
from statsd_tcp.store.search import Kind

__all__ = ["CommandError", "IConsoleSources", "IOpenFlush"]


class CommandError(Exception):
    """A command cannot be carried out, as the text says in one line."""


class IOpenFlush(Interface):
    """The output flush that is open, and the series that are known. The Deferreds fail with `StoreError`."""

    def series(kind: Group) -> Deferred[bytes]:  # noqa: N805 - an interface's methods have no self
        """Write the series of a kind with what has come for them in this flush, as `replies.series_dump`."""

    def delete(kind: Kind, patterns: Sequence[str]) -> Deferred[str]:  # noqa: N805
        """Delete series and their durable totals, and write what was found for each pattern, as `replies.deleted`."""


class IConsoleSources(Interface):
    """The rest of it: called in the reactor's thread, and must not wait."""

    up: bool = Attribute("What the operator says: while it is False the service says that it is not ready.")

    def stats() -> Iterable[tuple[str, object]]:
        """Return the numbers of the reply to ``stats``, by their names."""

    def workers() -> list[dict[str, Any]]:
        """Describe the workers, as the status page does."""

    def bad_lines() -> Iterable[tuple[str, object]]:
        """Return the last example of everything that was rejected, by the reason."""

    def conflicts() -> Iterable[tuple[str, object]]:
        """Return the series that the last scrape of ``/metrics`` could not show, by the reason."""

    def who(arguments: Sequence[str], peer: Any) -> Deferred[Sequence[str]]:  # noqa: N805
        """Return the sources with the most connections, or by what ``arguments`` say, as lines.

        Fails with `CommandError` if it cannot be answered, or not to a client with the address ``peer``.
        """

    def config() -> str:
        """Write the settings in force, as a file for ``--config``."""
