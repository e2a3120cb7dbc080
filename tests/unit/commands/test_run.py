"""The whole of ``statscounter load``, with its processes, against real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from twisted.trial.unittest import SynchronousTestCase

import statsd_tcp
from statsd_tcp.commands.load.generators import GeneratorError, Generators
from statsd_tcp.commands.load.results import Progress
from tests.patience import PATIENCE
from tests.unit.commands.servers import (
    close_at_once,
    free_port,
    metrics_page,
    pages,
    read_to_the_end,
    serving,
    share,
)
from tests.unit.commands.test_main import run


class Watch:
    """A display that remembers, and may do something at the first sign of work."""

    def __init__(self, at_first: Callable[[], object] | None = None) -> None:
        self.shown: list[Progress] = []
        self._at_first = at_first

    def show(self, progress: Progress, seconds: float) -> None:
        """Remember it."""
        self.shown.append(progress)
        if self._at_first is not None and progress.begun:
            act, self._at_first = self._at_first, None
            act()

    def __enter__(self) -> Self:
        """Need nothing."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Leave nothing behind."""


class LoadTests(SynchronousTestCase):
    """The command."""

    def test_all_completed(self) -> None:
        """Two processes do the work of one, and the result is one."""
        with serving(close_at_once) as (port, seen):
            status, out, err = run(
                "load", "--target", f"tcp:127.0.0.1:{port}", "--connections", "101", "--processes", "2", "--json"
            )
            seen.wait_for(101)
        plain = json.loads(out)
        self.assertEqual((0, ""), (status, err))
        self.assertEqual((101, 101), (plain["connections"]["begun"], plain["connections"]["completed"]))
        self.assertEqual((101, 2), (plain["latency_ms"]["count"], plain["generator"]["processes"]))

    def test_refused(self) -> None:
        """Without a server: status 1, and the table says why."""
        with free_port() as port:
            status, out, _ = run("load", "--target", f"tcp:127.0.0.1:{port}", "--connections", "5")
        self.assertEqual(1, status)
        self.assertRegex(out, r"refused +5")


class VerifyTests(SynchronousTestCase):
    """The command with --verify."""

    def _verify(self, extra: int = 0) -> tuple[int, str, str]:
        with ExitStack() as stack:
            port, seen = stack.enter_context(serving(read_to_the_end))

            def answer(path: str) -> str | None:
                counted = seen.connections + (extra if seen.connections else 0)
                return metrics_page(port, counted, seen.lines) if path == "/metrics" else None

            url = stack.enter_context(pages(answer))
            return run(
                "load", "--target", f"tcp:127.0.0.1:{port}", "--close", "half",
                "--connections", "50", "--verify", url, "--verify-timeout", "1",
            )  # fmt: skip

    def test_exact(self) -> None:
        """A server that counted every connection once: status 0."""
        status, out, _ = self._verify()
        self.assertEqual(0, status)
        self.assertIn("exact: 50 connections counted, 50 expected", out)

    def test_too_many(self) -> None:
        """A server that counted other clients' too: status 1, and how many."""
        status, out, _ = self._verify(extra=3)
        self.assertEqual(1, status)
        self.assertIn("not exact: 53 connections counted, 50 expected: 3 more than sent", out)

    def test_lost(self) -> None:
        """A server that lost one: status 1."""
        status, out, _ = self._verify(extra=-1)
        self.assertEqual(1, status)
        self.assertIn("1 lost", out)

    def test_no_counts(self) -> None:
        """A server without counts: status 2, one line that names the option, and not one connection made."""
        with serving(close_at_once) as (port, seen), free_port() as closed:
            status, out, err = run(
                "load", "--target", f"tcp:127.0.0.1:{port}", "--verify", f"http://127.0.0.1:{closed}"
            )
            self.assertEqual(0, seen.connections)
        self.assertEqual((2, "", 1), (status, out, err.count("\n")))
        self.assertIn("--verify: http://127.0.0.1", err)


class GeneratorsTests(SynchronousTestCase):
    """The processes."""

    def test_killed_generator(self) -> None:
        """A generator that dies is an error, not a result with something missing, and takes the others with it."""
        with serving(close_at_once) as (port, _):
            generators = Generators(share(port, connections=None, duration=60.0).work, 2)
            first = generators.pids[0]
            watch = Watch(lambda: os.kill(first, signal.SIGKILL))
            error = self.assertRaises(GeneratorError, generators.run, watch)
        self.assertIn("status -9", str(error))
        self.assertEqual([], generators.pids)

    def test_interrupted_while_it_starts(self) -> None:
        """Ctrl-C does not reach a generator, from its first moment on: only the parent's."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        with free_port() as port:
            generators = Generators(share(port, connections=1).work, 2)
            self.addCleanup(generators._kill)
            for pid in generators.pids:
                status = Path(f"/proc/{pid}/status").read_text()
                (blocked,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:")]
                self.assertTrue(int(blocked, 16) >> signal.SIGINT - 1 & 1, status)
        self.assertEqual(before, signal.pthread_sigmask(signal.SIG_BLOCK, []))

    def test_interrupt(self) -> None:
        """Ctrl-C begins nothing more, lets the open ones end, and still gives the result."""
        with serving(close_at_once) as (port, _):
            generators = Generators(share(port, connections=None, duration=60.0).work, 1)
            watch = Watch(lambda: signal.raise_signal(signal.SIGINT))
            result = generators.run(watch)
        self.assertTrue(generators.interrupted)
        self.assertEqual((result.begun, 0), (result.completed, result.failed))
        self.assertEqual(result.begun, watch.shown[-1].begun)
        self.assertGreater(result.begun, 0)

    def test_interrupt_when_they_have_ended(self) -> None:
        """Ctrl-C that comes when generators have ended, and their results were not read yet, takes none away."""
        with serving(close_at_once) as (port, _):
            generators = Generators(share(port, connections=2).work, 2)
            children = list(generators._children.values())

            def interrupt() -> None:
                for child in children:
                    child.join()
                generators._stop()
                signal.raise_signal(signal.SIGINT)

            result = generators.run(Watch(interrupt))
        self.assertEqual((2, 2, True), (result.begun, result.completed, generators.interrupted))

    def test_interrupted_twice(self) -> None:
        """The second Ctrl-C ends it at once, and the first one does before the generators have begun."""
        for times, began in ((1, False), (2, True)):
            with serving(close_at_once) as (port, _):
                generators = Generators(share(port, connections=None, duration=60.0).work, 1)
                interrupt = partial(self.interrupt, times)
                if not began:
                    self.patch(generators, "_receive", lambda pipe, act=interrupt: act())
                self.assertRaises(KeyboardInterrupt, generators.run, Watch(interrupt))
            self.assertEqual((began, []), (generators.interrupted, generators.pids))
        self.assertIs(signal.default_int_handler, signal.getsignal(signal.SIGINT))

    def interrupt(self, times: int) -> None:
        """Have Ctrl-C pressed so often."""
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    def test_orphans_stop(self) -> None:
        """Generators whose parent was killed stop by themselves."""
        command = [sys.executable, "-m", "statsd_tcp.commands.main", "load", "--duration", "60", "--target"]
        with serving(close_at_once) as (port, seen):
            # The runner may have moved to another folder.
            place = {**os.environ, "PYTHONPATH": str(Path(statsd_tcp.__file__).parent.parent)}
            parent = subprocess.Popen([*command, f"tcp:127.0.0.1:{port}"], env=place, stderr=subprocess.PIPE)
            self.addCleanup(parent.kill)
            seen.wait_for(1)
            parent.kill()
            # Standard error is the children's too: reading it ends when the last of them has ended.
            parent.communicate(timeout=PATIENCE)

    def test_interrupted_command(self) -> None:
        """The whole command, interrupted, still reports, and ends with status 130."""
        code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        code += "from statsd_tcp.commands.main import main; sys.exit(main(sys.argv[1:]))"
        with serving(close_at_once) as (port, seen):
            place = {**os.environ, "PYTHONPATH": str(Path(statsd_tcp.__file__).parent.parent)}
            arguments = ["load", "--json", "--duration", "60", "--target", f"tcp:127.0.0.1:{port}"]
            command = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                env=place,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self.addCleanup(command.kill)
            seen.wait_for(1)
            # As a terminal does: to the generators too.
            os.killpg(command.pid, signal.SIGINT)
            out, err = command.communicate(timeout=PATIENCE)
        self.assertEqual((130, b""), (command.returncode, err))
        plain = json.loads(out)
        self.assertEqual(plain["connections"]["begun"], plain["connections"]["completed"])
