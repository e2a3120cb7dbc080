"""The line that says how a run is getting on: redrawn on a terminal, now and then in a log."""

from __future__ import annotations

import sys
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from statsd_tcp.commands.load.results import Progress
from statsd_tcp.commands.load.workload import Mode, Workload

__all__ = ["Display", "LogLines", "TerminalLine", "progress_line", "progress_on"]

REDRAWS_PER_SECOND = 4
LOG_PAUSE = 5.0


class Display(Protocol):
    """Something that shows progress. Used as a context manager."""

    def show(self, progress: Progress, seconds: float) -> None:
        """Show where a run stands that began ``seconds`` ago; called often."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *reason: object) -> None: ...


def progress_line(work: Workload, progress: Progress, seconds: float) -> str:
    """Write one line about a run that began ``seconds`` ago."""
    done = progress.completed + progress.failed
    parts = [_share(work, done, seconds)]
    if work.mode is not Mode.KEPT:
        parts.append(f"{done / max(seconds, 1e-3):,.0f}/s")
    parts += [f"{progress.open:,} open", f"{progress.completed:,} completed", f"{progress.failed:,} failed"]
    if work.mode is not Mode.CONNECT:
        parts.append(f"{progress.lines:,} lines")
    return "  ".join([*parts, f"{seconds:.0f} s"])


def _share(work: Workload, done: int, seconds: float) -> str:
    shares = []
    if work.connections is not None and work.mode is not Mode.KEPT:
        shares.append(done / work.connections)
    if work.duration is not None:
        shares.append(seconds / work.duration)
    return f"{min(1.0, max(shares)):4.0%}"


class TerminalLine:
    """Redraws one line at the bottom of a terminal, and takes it away at the end."""

    def __init__(self, work: Workload, console: Console) -> None:
        self._work = work
        self._live = Live(Text(), console=console, refresh_per_second=REDRAWS_PER_SECOND, transient=True)

    def show(self, progress: Progress, seconds: float) -> None:
        """Redraw, at the display's own pace."""
        self._live.update(Text(progress_line(self._work, progress, seconds)))

    def __enter__(self) -> Self:
        """Take hold of the line."""
        self._live.start()
        return self

    def __exit__(self, *reason: object) -> None:
        """Restore the line."""
        self._live.stop()


class LogLines:
    """Writes a line every few seconds, where nothing can be redrawn."""

    def __init__(self, work: Workload, console: Console) -> None:
        self._work, self._console = work, console
        self._next = LOG_PAUSE

    def show(self, progress: Progress, seconds: float) -> None:
        """Write a line, if the last one is old enough."""
        if seconds >= self._next:
            self._next = seconds + LOG_PAUSE
            self._console.print(Text(progress_line(self._work, progress, seconds)), soft_wrap=True)

    def __enter__(self) -> Self:
        """Need nothing."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Leave nothing behind."""


def progress_on(work: Workload) -> Display:
    """Choose what suits standard error."""
    console = Console(file=sys.stderr)
    return TerminalLine(work, console) if console.is_terminal else LogLines(work, console)
