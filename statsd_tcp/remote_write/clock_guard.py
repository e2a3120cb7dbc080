"""The receiver's clock, by the dates of its answers: one sample of the future can make a receiver refuse the present.

Prometheus 2.42 takes samples of any time, and after that none that is older than an hour before the newest, of any
series and from any sender. So a request whose time is ahead of the receiver's clock is not sent.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_AHEAD", "ReceiverClock"]

MOST_AHEAD: Final = 120.0
"""Seconds that the time of a request may be ahead."""


class ReceiverClock:
    """What the receiver's clock says, by the last date that it sent. Moments are of a clock that is never set."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self.is_silent = False

    def note(self, date: float | None, moment: float) -> None:
        """Note the date of an answer. A receiver that sends none cannot be asked for the time."""
        self.is_silent = date is None
        if date is not None:
            self._offset = date - moment

    @property
    def is_known(self) -> bool:
        """Return whether there is a clock to compare with, or will never be one."""
        return self.is_silent or self._offset is not None

    def ahead(self, time: float, moment: float) -> float:
        """Return by how many seconds a time, since 1970, is ahead of the receiver's clock."""
        return 0.0 if self._offset is None else time - (moment + self._offset)
