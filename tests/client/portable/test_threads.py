"""The client for threads against a listener in this process: levels, breaks, forks and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

from statsd_tcp_client import StatsClient, TCPStatsClient, UnixSocketStatsClient
from statsd_tcp_client.processes import EXIT_SECONDS
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.threads.connection import Connection
from tests.client.portable.listener import PATIENCE, Listener, reserved, status_of, until

HERE = Path(__file__).parent

SILENCE = Settings().answer_timeout
"""Seconds after which a connection without an answer is given up."""

PROGRAM = """
import sys
from statsd_tcp_client import StatsClient, processes
processes.EXIT_SECONDS = {seconds}
client = StatsClient("127.0.0.1", {port}, interval=60, level={level!r})
client.incr("a")
{end}
"""


class Case(unittest.TestCase):
    """What the tests have in common."""

    def listen(self, *args: Any, **keywords: Any) -> Listener:
        """Return a listener that is closed after the test."""
        listener = Listener(*args, **keywords)
        self.addCleanup(listener.close)
        return listener

    def client(self, port: int, **more: Any) -> StatsClient:
        """Return a client that is closed after the test. It sends only when it is told to."""
        client = StatsClient(
            "127.0.0.1", port, **{"interval": 60, "own_lines": False, "connect_timeout": PATIENCE, **more}
        )
        self.addCleanup(client.close, 0)
        return client

    def wait_for(self, listener: Listener, **totals: int) -> None:
        """Wait until counters have come, and check that nothing has come twice."""
        until(lambda: all(listener.total(name) >= total for name, total in totals.items()), f"{totals} came")
        self.assertEqual({name: listener.total(name) for name in totals}, totals)


class LevelTests(Case):
    """What the levels mean."""

    def test_each(self) -> None:
        """At each level everything arrives once, and is confirmed; the books agree."""
        for level in ("sent", "read", "stored"):
            with self.subTest(level):
                listener = self.listen(level)
                client = self.client(listener.port, level=level)
                for _ in range(3):
                    client.incr("a", 2)
                    client.decr("b")
                    self.assertTrue(client.flush(PATIENCE))
                stats = client.stats()
                self.assertEqual((stats.made, stats.sent, stats.confirmed), (6, 6, 6))
                self.assertEqual((stats.in_doubt, stats.waiting, stats.batches), (0, 0, 3))
                self.assertEqual(stats.connections, 3 if level == "read" else 1)
                self.wait_for(listener, a=6)
                self.assertEqual(listener.total("b"), -3)

    def test_by_itself(self) -> None:
        """Without `flush` everything is sent after the interval."""
        listener = self.listen()
        self.client(listener.port, interval=0.05).incr("a")
        until(lambda: listener.lines == ["a:1|c"], "it came")

    def test_not_confirmed(self) -> None:
        """Without an answer `flush` says so in time, and nothing is lost: a later one confirms it, once."""
        listener = self.listen("stored", answers=False)
        client = self.client(listener.port, level="stored")
        client.incr("a")
        self.assertFalse(client.flush(0.05))
        listener.answers = True
        listener.break_off(1)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(listener.lines, ["a:1|c"])

    def test_read_in_doubt(self) -> None:
        """An end without a confirmation leaves the batch in doubt, and it is not sent again."""
        listener = self.listen("sent")
        client = self.client(listener.port, level="read")
        client.incr("a")
        self.assertFalse(client.flush(PATIENCE))
        self.assertEqual(client.stats().in_doubt, 1)
        self.assertEqual(listener.lines, ["a:1|c"])


class BreakTests(Case):
    """What happens when the server goes and comes."""

    def test_away(self) -> None:
        """While the server is away no call waits or raises, and memory stays in its room; then the rest arrives."""
        place = reserved()
        self.addCleanup(place.close)
        client = self.client(place.getsockname()[1], interval=0.01, max_bytes=10_000, backoff=(0.001, 0.01))
        for number in range(5000):
            client.incr("known")
            client.incr(f"new{number}")
        stats = client.stats()
        self.assertEqual(stats.made, 10_000)
        self.assertGreater(stats.dropped["full"], 4900)
        self.assertFalse(client.flush(0.05))
        until(lambda: client.stats().failures, "an attempt has failed")
        listener = self.listen("sent", place)
        self.assertTrue(client.flush(PATIENCE))
        until(lambda: listener.total("known") == 5000, "all of the known counter is there")
        stats = client.stats()
        self.assertEqual(stats.confirmed + stats.dropped["full"], 10_000)

    def test_break(self) -> None:
        """After a break the next batch goes over a new connection."""
        for level in ("sent", "stored"):
            with self.subTest(level):
                listener = self.listen(level)
                client = self.client(listener.port, level=level, backoff=(0.001, 0.01))
                client.incr("a")
                self.assertTrue(client.flush(PATIENCE))
                listener.break_off(1)
                listener.wait_ended(1)
                client.incr("a")
                self.assertTrue(client.flush(PATIENCE))
                self.wait_for(listener, a=2)
                self.assertEqual(client.stats().connections, 2)

    def test_no_such_host(self) -> None:
        """A name that cannot be resolved is a failed attempt."""
        client = StatsClient("nowhere.invalid", 8125, interval=60)
        client.incr("a")
        self.assertFalse(client.flush(0.2))
        until(lambda: client.stats().failures, "an attempt has failed")
        self.assertIn("gaierror", client.stats().last_error)
        client.close(0)
        self.assertEqual(client.stats().dropped["exit"], 1)

    def test_no_name(self) -> None:
        """So is a name that can be none."""
        client = StatsClient("a" * 70, 8125, interval=60)
        client.incr("a")
        client.flush(0)
        until(lambda: client.stats().failures, "an attempt has failed")
        self.assertFalse(client.close(0.1))
        self.assertIn("label too long", client.stats().last_error)

    def test_flush_at_once(self) -> None:
        """`flush` does not wait for the pause after a failure to end."""
        place = reserved()
        self.addCleanup(place.close)
        client = self.client(place.getsockname()[1], backoff=(10**6, 10**6))
        client.incr("a")
        self.assertFalse(client.flush(0.05))
        until(lambda: client.stats().failures, "an attempt has failed")
        self.listen("sent", place)
        self.assertTrue(client.flush(PATIENCE))

    def test_chatter(self) -> None:
        """A server that does not stop talking does not keep the client from sending."""
        said = [b"x"] * 10_000
        client = self.client(self.listen().port)
        with patch.object(Connection, "read", lambda _: said.pop() if said else None):
            client.incr("a")
            self.assertTrue(client.flush(PATIENCE))
        self.assertTrue(said)

    def test_lost_before(self) -> None:
        """`flush` tells of what became doubtful since the last result, and only once."""
        listener = self.listen("read", answers=False)
        client = self.client(listener.port, level="read", interval=0.01)
        client.incr("a")
        self.wait_for(listener, a=1)
        listener.break_off(1)
        until(lambda: client.stats().in_doubt, "the call is in doubt")
        self.assertFalse(client.flush(PATIENCE))
        self.assertTrue(client.flush(PATIENCE))

    def test_endless_settings(self) -> None:
        """Times of years, or without an end, are as good as any."""
        listener = self.listen()
        for endless in (1e10, float("inf")):
            client = self.client(listener.port, interval=endless, idle=endless, age=(1e10, 1e10), resend=endless)
            client.incr("a")
            self.assertTrue(client.flush(endless))
            client.incr("a")
            self.assertTrue(client.close(endless))
        self.wait_for(listener, a=4)

    def test_reconnect(self) -> None:
        """`reconnect` replaces a connection."""
        listener = self.listen()
        client = self.client(listener.port)
        client.incr("a")
        self.assertTrue(client.flush(PATIENCE))
        client.reconnect()
        until(lambda: listener.ended == 1, "the connection has ended")
        client.incr("a")
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual((client.stats().connections, client.stats().reconnects), (2, 0))


class ThreadTests(Case):
    """Many threads, and signals."""

    def test_many(self) -> None:
        """What many threads count while others flush is exact."""
        listener = self.listen("stored")
        client = self.client(listener.port, level="stored", pool=2, interval=0.01)
        threads = [threading.Thread(target=self.count, args=(client,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            client.flush(0.01)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(listener.total("a"), 8000)
        self.assertEqual(client.stats().confirmed, 8000)

    def count(self, client: StatsClient) -> None:
        """Count two thousand."""
        for _ in range(2000):
            client.incr("a")

    def test_signal(self) -> None:
        """A signal handler that counts does not wait for the call that it interrupts."""
        client = self.client(9)
        before = signal.signal(signal.SIGUSR1, lambda *_: client.incr("b"))
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGUSR1)
            client.incr("a")
        self.assertEqual(client.stats().made, 400)

    def test_close(self) -> None:
        """`close` ends the thread and the connection; a later call begins again."""
        listener, others = self.listen(), threading.enumerate()
        with self.client(listener.port) as client:
            client.incr("a")
            # A second, which is what the end of the block has, may be too short for that on a busy machine.
            self.assertTrue(client.flush(PATIENCE))
        until(lambda: listener.ended == 1, "the connection has ended")
        own = [one for one in threading.enumerate() if one.name == "statsd-tcp-client" and one not in others]
        until(lambda: not any(one.is_alive() for one in own), "the thread has ended")
        client.incr("a")
        self.assertTrue(client.close(PATIENCE))
        until(lambda: listener.total("a") == 2, "both are there")


@unittest.skipUnless(hasattr(os, "fork"), "there is no fork")
class ForkTests(Case):
    """Children have nothing of their parent's."""

    def run_child(self, act: Any) -> None:
        """Fork, act in the child, and check that it ended well."""
        with warnings.catch_warnings():
            # From Python 3.12 on a fork while there are threads is reported.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            status = 1
            try:
                act()
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(status_of(pid), 0)

    def test_numbers(self) -> None:
        """A child sends what it counts itself, by a connection of its own; the parent's goes on."""
        for level in ("sent", "stored"):
            with self.subTest(level):
                listener = self.listen(level)
                client = self.client(listener.port, level=level)
                client.incr("warm")
                self.assertTrue(client.flush(PATIENCE))
                client.incr("parent")

                def act(client: StatsClient = client) -> None:
                    assert client.stats().made == 0
                    client.incr("child")
                    assert client.close(PATIENCE)
                    assert client.stats().made == 1

                for _ in range(3):
                    self.run_child(act)
                self.assertTrue(client.flush(PATIENCE))
                self.wait_for(listener, warm=1, parent=1, child=3)
                stats = client.stats()
                self.assertEqual((stats.made, stats.connections, stats.reconnects), (2, 1, 0))
                ids = {line for line in listener.control if line.startswith("!hello")}
                self.assertEqual(len(ids), 4 if level == "stored" else 0)

    def test_while_threads_count(self) -> None:
        """A child does not inherit a lock that another thread held."""
        listener = self.listen()
        client = self.client(listener.port)
        stop = threading.Event()

        def count() -> None:
            while not stop.is_set():
                client.incr("a")

        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(10):
                self.run_child(lambda: client.incr("b"))
        finally:
            stop.set()
            for thread in threads:
                thread.join()


class ExitTests(Case):
    """Programs that end without `close`."""

    def run_program(self, listener: Listener, end: str, level: str = "sent", seconds: float = EXIT_SECONDS) -> float:
        """Run a program that counts once, and has some time to send at its end; return how long it took."""
        import statsd_tcp_client

        code = PROGRAM.format(port=listener.port, level=level, end=end, seconds=seconds)
        path = str(Path(statsd_tcp_client.__file__).parents[1])
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
            timeout=PATIENCE,
            capture_output=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return time.monotonic() - begin

    def test_ends(self) -> None:
        """What was counted is sent at the end of the program, also after a fork and from `multiprocessing`."""
        ends = {
            "": 1,
            "sys.exit()": 1,
            "import os\nif not os.fork():\n    client.incr('a')\n    sys.exit()\nos.wait()": 2,
            "import multiprocessing\n"
            "child = multiprocessing.get_context('fork').Process(target=client.incr, args=('a',))\n"
            "child.start()\nchild.join()": 2,
        }
        for end, expected in ends.items():
            with self.subTest(end):
                listener = self.listen("stored")
                # A second may be too short for that on a busy machine.
                self.run_program(listener, end, "stored", PATIENCE)
                self.assertEqual(listener.total("a"), expected)

    def test_deadline(self) -> None:
        """A server that never answers holds the end of a program up for a second, not for longer."""
        listener = self.listen("stored", answers=False)
        begin = time.monotonic()
        quick = self.run_program(self.listen(), "")
        slow = self.run_program(listener, "", "stored")
        self.assertGreater(slow, 1.0)
        self.assertLess(slow - quick, SILENCE / 2)
        self.assertGreater(time.monotonic() - begin, 1.0)


class SettingsTests(Case):
    """How a client is made."""

    def test_signatures(self) -> None:
        """The arguments of the package `statsd` are taken, by position and by name."""
        StatsClient("localhost", 8125, "prefix", 512, False)
        StatsClient(host="localhost", port=8125, prefix=None, maxudpsize=512, ipv6=True)
        TCPStatsClient("localhost", 8125, "prefix", 1.5, False)
        UnixSocketStatsClient("/run/statsd.sock", "prefix", 1.5)

    def test_wrong(self) -> None:
        """What cannot be is said at once, by the name of the argument."""
        wrong: list[dict[str, Any]] = [
            {"level": "never"},
            {"dialect": "influx"},
            {"prefix": "a:b"},
            {"tags": ["a|b"]},
            {"pool": 5},
            {"port": 0},
            {"interval": 0},
            {"backoff": (1, 0)},
            {"age": (60, float("inf"))},
        ]
        for settings in wrong:
            with self.subTest(**settings), self.assertRaisesRegex(ValueError, next(iter(settings))):
                Settings(**settings)
        self.assertRaises(TypeError, StatsClient, colour="red")

    def test_unix(self) -> None:
        """A Unix socket is a way like any other."""
        import tempfile

        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{folder}/s")
            server.listen()
            client = UnixSocketStatsClient(f"{folder}/s", "p", interval=60)
            client.incr("a")
            self.assertTrue(client.close(PATIENCE))
            connection, _ = server.accept()
            with connection:
                self.assertEqual(connection.recv(100), b"p.a:1|c\n")


if __name__ == "__main__":
    unittest.main()
