"""What the HTTP server has refused: counted by reason, and each reason said once in the log."""

from __future__ import annotations

from twisted.logger import Logger

__all__ = ["REASONS", "Refusals"]

REASONS = (
    "body",
    "header",
    "host",
    "origin",
    "remote",
    "too_soon",
    "scrapes",
    "viewers",
    "unread",
    "connections",
    "sources",
)
"""Why a request is refused: its body is too long; its header is no text, or cannot be; it asks for a name that is not
ours. Why a reload is: a page of another site asks for it, or another machine, or the last one was a moment ago. Why a
scrape, or a stream, is: too many are under way, or it is not read. Why a connection is cut: there are too many, and it
idles. Why sources are not shown: the client is neither on this machine nor in a network of ``--who-to``."""


class Refusals:
    """Counts refusals. Clients decide how many requests there are, so the log has one line for each reason."""

    _log = Logger()

    def __init__(self) -> None:
        self.counts = dict.fromkeys(REASONS, 0)

    def note(self, reason: str, text: str) -> None:
        """Count a refusal; ``text`` is what the client was told, in one line."""
        self.counts[reason] += 1
        if self.counts[reason] == 1:
            self._log.warn("an HTTP request was refused, further ones like it are only counted: {text}", text=text)
