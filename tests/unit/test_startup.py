"""Everything that can fail at start: each with one line that says the cause and the remedy."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import platformdirs
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import startup
from statsd_tcp.kernel.port_owner import Owner
from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.settings import Settings
from statsd_tcp.settings.state_folder import default_state_directory
from statsd_tcp.startup import COMMIT_PERIOD, StartError, commit_period, make_plan, told_in_a_line, unforeseen
from statsd_tcp.state.folder import STORE
from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.supervisor.start_plan import Plan

LOOPBACK = "tcp:0:interface=127.0.0.1"


class StartupTestCase(SynchronousTestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        """Make the folder."""
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def settings(self, **given: str) -> Settings:
        """Make settings with a state directory in the folder, and nothing that listens on a fixed port."""
        off = {"count": "", "http": "", "admin": ""}
        defaults = {"listen": LOOPBACK, **off, "state_dir": str(self.folder), "workers": "1"}
        return build_settings({name.replace("_", "-"): [text] for name, text in {**defaults, **given}.items()})

    def error(self, act: Callable[..., object], *arguments: object) -> str:
        """Return the one line of what fails."""
        text = str(self.assertRaises(StartError, act, *arguments))
        self.assertNotIn("\n", text)
        return text


class HashSeedTests(StartupTestCase):
    """PYTHONHASHSEED in the environment."""

    def warnings(self, environ: dict[str, str]) -> list[str]:
        """Make a plan, and give what the log says."""
        with capturedLogs() as events:
            plan, lock = make_plan(self.settings(), environ)
        self.addCleanup(os.close, lock)
        for listener in plan.listeners:
            listener.close()
        return [str(formatEvent(event)) for event in events if event["log_level"] is LogLevel.warn]

    def test_fixed(self) -> None:
        """A number there is warned of in one line: clients know then how names are hashed."""
        (line,) = self.warnings({"PYTHONHASHSEED": "0"})
        self.assertTrue(line.startswith("PYTHONHASHSEED=0: "))
        self.assertNotIn("\n", line)

    def test_random(self) -> None:
        """Nothing is said where hashes are keyed."""
        self.assertEqual([], self.warnings({"PYTHONHASHSEED": "random"}))


class StateDirectoryTests(StartupTestCase):
    """Where the state is kept."""

    def test_as_asked(self) -> None:
        """The option decides."""
        wanted = self.folder / "a/b"
        found = default_state_directory(self.settings(state_dir=str(wanted)), {"STATE_DIRECTORY": "/nowhere"})
        self.assertEqual(wanted, found)

    def test_systemd(self) -> None:
        """Otherwise it is the first of the unit's."""
        found = default_state_directory(build_settings({}), {"STATE_DIRECTORY": f"{self.folder}/x:/nowhere"})
        self.assertEqual(self.folder / "x", found)

    def test_the_user_s(self) -> None:
        """Otherwise it is the place that the platform has for it."""
        self.patch(platformdirs, "user_state_path", lambda name, **_: self.folder / "state" / name)
        self.assertEqual(self.folder / "state/statscounter", default_state_directory(build_settings({}), {}))

    def test_refused(self) -> None:
        """One that cannot be used ends the start."""
        (self.folder / "lock").mkdir()
        text = self.error(make_plan, self.settings(), {})
        self.assertEqual(
            f"--state-dir {self.folder}: lock is a folder and no file; it is left alone: move it away", text
        )


class BindTests(StartupTestCase):
    """Sockets that cannot be bound."""

    low_port = (
        "--listen: tcp:80 needs root or the capability CAP_NET_BIND_SERVICE: --listen= switches it off, --listen "
        "tcp:PORT moves it"
    )

    def taken(self, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
        """Take a port, and give it."""
        one = socket.socket(socket.AF_INET, kind)
        self.addCleanup(one.close)
        one.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            one.listen()
        return int(one.getsockname()[1])

    def bind(self, text: str, option: str = "listen") -> str:
        """Return the line for an endpoint that cannot be bound."""
        # The lock would last as long as this process.
        self.patch(startup, "open_state", lambda folder, *_: (folder, -1))
        return self.error(make_plan, self.settings(workers="2", **{option: text}), {})

    def test_in_use(self) -> None:
        """A port in use is an error with its owner and with both ways out."""
        port = self.taken()
        self.patch(startup, "port_owner", lambda scheme, number: Owner("nginx", 41) if number == port else None)
        for option in ("listen", "http"):
            self.assertEqual(
                f"--{option}: tcp:{port} is in use by nginx (pid 41): --{option}= switches it off, --{option} tcp:PORT "
                "moves it",
                self.bind(f"tcp:{port}:interface=127.0.0.1", option),
            )

    def test_in_use_by_somebody(self) -> None:
        """Whose owner we may not see is in use all the same."""
        port = self.taken(socket.SOCK_DGRAM)
        self.patch(startup, "port_owner", lambda scheme, number: None)
        self.assertEqual(
            f"--listen: udp:{port} is in use: --listen= switches it off, --listen udp:PORT moves it",
            self.bind(f"udp:{port}:interface=127.0.0.1"),
        )

    def test_our_own(self) -> None:
        """The owner is found in the real /proc."""
        port = self.taken()
        self.assertIn(f"(pid {os.getpid()})", self.bind(f"tcp:{port}:interface=127.0.0.1"))

    def test_an_address_of_another_machine(self) -> None:
        """An address that this machine does not have is named."""
        self.assertEqual(
            "--listen tcp:1234:interface=192.0.2.1: this machine has no address 192.0.2.1",
            self.bind("tcp:1234:interface=192.0.2.1"),
        )

    def test_other_errors(self) -> None:
        """What else the kernel says is passed on, and a low port's remedy is given."""
        for number, port, message in (
            (errno.EACCES, 80, self.low_port),
            (errno.EACCES, 8125, "--listen tcp:8125: Permission denied"),
            (errno.EMFILE, 8125, "--listen tcp:8125: Too many open files"),
        ):

            def fail(endpoint: Endpoint, workers: int, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            self.patch(startup, "bind_listener", fail)
            self.assertEqual(message, self.bind(f"tcp:{port}"))


class PlanTests(StartupTestCase):
    """All of it together."""

    def plan(self, **given: str) -> Plan:
        """Make a plan, for the time of the test."""
        plan, *_, lock = make_plan(self.settings(**given), {})
        self.addCleanup(os.close, lock)
        for listener in filter(None, [*plan.listeners, plan.http, plan.admin]):
            self.addCleanup(listener.close)
        return plan

    def test_a_plan(self) -> None:
        """The plan has all that is bound, and the limits as they are."""
        self.patch(startup, "raise_descriptor_limit", lambda: 5000)
        plan = self.plan(count=LOOPBACK, http=LOOPBACK, admin=LOOPBACK, workers="3")
        self.assertEqual([False, True], [listener.endpoint.count_only for listener in plan.listeners])
        self.assertEqual([3, 3], [len(listener.sockets) for listener in plan.listeners])
        self.assertEqual([1, 1], [len(one.sockets) for one in (plan.http, plan.admin) if one])
        self.assertEqual((3, "as asked for", 5000), (plan.workers, plan.workers_reason, plan.descriptors))
        self.assertEqual(self.folder, plan.state_dir)
        self.assertEqual(int(Path("/proc/sys/net/core/somaxconn").read_text()), plan.backlog)

    def test_sources(self) -> None:
        """Connections are counted by source, and datagrams only where that is asked for."""
        plan = self.plan(listen="udp:0:interface=127.0.0.1", count=LOOPBACK, workers="1")
        self.assertEqual([False, True], [lane.sources for lane in plan.boot(0, "ledger").lanes])
        plan = plan._replace(settings=msgspec.structs.replace(plan.settings, who="all"))
        self.assertEqual([True, True], [lane.sources for lane in plan.boot(0, "ledger").lanes])

    def test_without_pages(self) -> None:
        """The pages may be switched off."""
        plan = self.plan()
        self.assertEqual((None, None), (plan.http, plan.admin))

    def test_another_system(self) -> None:
        """On another system than Linux that is all that is said."""
        self.patch(sys, "platform", "darwin")
        text = self.error(make_plan, self.settings(), {})
        self.assertEqual("runs on Linux only: it needs epoll, SO_REUSEPORT groups and /proc", text)

    def test_a_store_that_can_t_be_used(self) -> None:
        """A file that is no store is found at start, not when the first commit fails."""
        (self.folder / STORE).write_bytes(b"precious" * 1000)
        text = self.error(make_plan, self.settings(), {})
        self.assertIn(str(self.folder / STORE), text)
        self.assertIn("is not a SQLite database", text)

    def test_a_store_that_fails_after_a_reload(self) -> None:
        """An image that takes workers over starts whatever the store says: they go on, and commits are tried again."""
        first, lock = make_plan(self.settings(), {})
        self.addCleanup(os.close, lock)
        self.addCleanup(first.listeners[0].close)
        (self.folder / STORE).write_bytes(b"precious" * 1000)
        plan, held = make_plan(self.settings(), {}, Manifest(lock, [], [], [], {}, 0.0, 1, ""))
        self.addCleanup(plan.listeners[0].close)
        self.assertEqual(lock, held)

    def test_no_store_is_made(self) -> None:
        """A new store is not made before a change of user."""
        self.plan()
        self.assertFalse((self.folder / STORE).exists())

    def test_too_few_descriptors(self) -> None:
        """A limit that has no room for the sockets is named, with what would do."""
        plan = self.plan(workers="3")._replace(descriptors=130)
        self.assertEqual(
            "the limit of 130 open files (ulimit -n) is too low for 3 listening sockets and 0 HTTP connections: "
            "raise it to 259 or more, or ask for fewer --workers or --http-connections",
            self.error(startup._check_descriptors, plan),
        )
        plan = plan._replace(http=plan.listeners[0], descriptors=258)
        self.assertIn(
            "3 listening sockets and 128 HTTP connections: raise it to 387 or more",
            self.error(startup._check_descriptors, plan),
        )
        startup._check_descriptors(plan._replace(descriptors=259))

    def test_two_listeners_with_one_label(self) -> None:
        """Labels that turn out the same once the ports are known are refused."""
        plan = self.plan()
        self.assertEqual(
            f"--listen/--count: two listeners are called {plan.listeners[0].label}; name=LABEL tells them apart",
            self.error(startup._check_labels, plan.listeners * 2),
        )


class UnforeseenTests(StartupTestCase):
    """Unforeseen errors of the start."""

    def test_in_a_line(self) -> None:
        """The line names the file, or where in our code it came up; no exception's name is in it."""
        with self.assertRaises(ValueError) as caught:
            self.patch(startup, "open_state", lambda *_: int("x\ny"))
            make_plan(self.settings(), {})
        self.assertRegex(
            unforeseen(caught.exception),
            r"^cannot start, for a reason that was not foreseen in \w+\.py, line \d+: invalid literal .* 'x\\ny'$",
        )
        self.assertEqual("cannot start, for a reason that was not foreseen", unforeseen(AssertionError()))
        self.assertEqual(
            "cannot start: Too many open files: raise the limit of open files (ulimit -n)",
            unforeseen(OSError(errno.EMFILE, "Too many open files", "/proc/sys/x")),
        )
        missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/sys/x")
        self.assertEqual(
            "cannot start: /proc/sys/x: No such file or directory; the service needs /proc", unforeseen(missing)
        )

    def test_after_the_plan(self) -> None:
        """What fails when the service begins to listen ends in one line as well; the log has the whole of it."""
        self.patch(sys, "excepthook", sys.excepthook)
        written = StringIO()
        self.patch(sys, "__stderr__", written)

        def fail() -> None:
            with told_in_a_line():
                raise OSError(errno.EADDRINUSE, "Address already in use", "tcp:8125")

        self.assertRaises(OSError, fail)
        (logged,) = self.flushLoggedErrors(OSError)
        self.assertIn("Address already in use", logged.getErrorMessage())
        sys.excepthook(OSError, OSError(), None)
        self.assertEqual("statscounter: cannot start: tcp:8125: Address already in use\n", written.getvalue())


class CommitPeriodTests(StartupTestCase):
    """How often it commits, for tests."""

    def test_parts_of_a_second(self) -> None:
        """The variable may say a second or a whole part of one; without it, it is a second."""
        for text, period in {"1": 1.0, "1.0": 1.0, "0.5": 0.5, "0.333": 1 / 3, "0.2": 0.2, "0.05": 0.05}.items():
            self.assertEqual(period, commit_period({COMMIT_PERIOD: text}))
        self.assertEqual(1.0, commit_period({}))

    def test_anything_else(self) -> None:
        """Anything else is refused in one line."""
        for text in ("2", "0.3", "0", "-1", "0.01", "nan", "inf", "1e-400", "x", ""):
            self.assertEqual(
                f"{COMMIT_PERIOD}={text}: not a second, nor a half, a third, ... a twentieth of one",
                self.error(make_plan, self.settings(), {COMMIT_PERIOD: text}),
            )
