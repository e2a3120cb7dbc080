"""The progress line."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.progress import LogLines, TerminalLine, progress_line
from statsd_tcp.commands.load.results import Progress
from statsd_tcp.commands.load.workload import Mode
from tests.unit.commands.servers import share

HALF_WAY = Progress(begun=60, completed=45, failed=5, open=10, lines=45)


class LineTests(SynchronousTestCase):
    """What it says."""

    def test_by_number(self) -> None:
        """The share done is that of the number of connections."""
        line = progress_line(share(1, connections=100).work, HALF_WAY, 2.0)
        self.assertEqual(" 50%  25/s  10 open  45 completed  5 failed  2 s", line)

    def test_by_time(self) -> None:
        """What comes first decides, never beyond the whole."""
        work = share(1, connections=100, duration=2.5).work
        self.assertTrue(progress_line(work, HALF_WAY, 2.0).startswith(" 80%"))
        self.assertTrue(progress_line(work, HALF_WAY, 9.0).startswith("100%"))

    def test_lines(self) -> None:
        """Where there are lines they are counted; kept connections have no rate."""
        work = replace(share(1, duration=4.0, lines=1).work, mode=Mode.KEPT)
        self.assertEqual(" 50%  10 open  45 completed  5 failed  45 lines  2 s", progress_line(work, HALF_WAY, 2.0))


class DisplayTests(SynchronousTestCase):
    """Where it is shown."""

    def test_log(self) -> None:
        """Without a terminal a line comes every five seconds."""
        out = io.StringIO()
        with LogLines(share(1).work, Console(file=out)) as display:
            for second in range(11):
                display.show(HALF_WAY, float(second))
        self.assertEqual(2, out.getvalue().count("open"))

    def test_terminal(self) -> None:
        """On a terminal the line is drawn, and taken away at the end."""
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=100)
        with TerminalLine(share(1).work, console) as display:
            display.show(HALF_WAY, 1.0)
        self.assertIn("45 completed", out.getvalue())
        self.assertTrue(out.getvalue().endswith("\x1b[2K"), repr(out.getvalue()[-40:]))
