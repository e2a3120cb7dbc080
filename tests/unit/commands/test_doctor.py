"""``statscounter doctor``: the command line, and how findings are shown."""

from __future__ import annotations

import io
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.doctor.as_json import results_json
from statsd_tcp.commands.doctor.render import console_for, hanging, print_results
from statsd_tcp.commands.doctor.service import NoService, service_at, service_of
from statsd_tcp.doctor.examination import CHECKS, examine, status
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Result
from tests.unit.commands.test_main import run
from tests.unit.doctor.machines import folder, machine

TARGET = Goal(workers=2)


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class CommandLineTests(SynchronousTestCase):
    """The options of the doctor."""

    def test_wrong_command_lines(self) -> None:
        """A wrong command line ends with status 64 and one line that names what is wrong."""
        table: dict[tuple[str, ...], str] = {
            ("chek",): "'chek'",
            ("audit",): "FILE",
            ("write",): "DIR",
            ("check", "file"): "file",
            ("--target-rate", "0"): "--target-rate: '0'",
            ("--target-rate", "nan"): "--target-rate: 'nan'",
            ("--stall", "-1"): "--stall",
            ("--workers", "1.5"): "--workers: '1.5'",
            ("--status-url", "9102"): "--status-url: '9102'",
            ("check", "--pid", "1", "--status-url", "http://x"): "--pid and --status-url",
        }
        for arguments, words in table.items():
            code, out, err = run("doctor", *arguments)
            self.assertEqual((64, ""), (code, out), arguments)
            self.assertEqual(1, err.count("\n"), err)
            self.assertIn(words, err)

    def test_options_before_and_after_the_action(self) -> None:
        """An option counts on either side of the action."""
        for arguments in (("--target-rate", "5", "--json", "check"), ("check", "--json", "--target-rate", "5")):
            _, out, _ = run("doctor", *arguments)
            self.assertEqual(5.0, json.loads(out)["target"]["rate"])

    def test_no_service(self) -> None:
        """A service that is not there is status 3 with one line."""
        for arguments in (("--pid", "4194304"), ("--status-url", "http://127.0.0.1:1")):
            code, out, err = run("doctor", *arguments)
            self.assertEqual((3, "", 1), (code, out, err.count("\n")))
            self.assertIn(f"{arguments[0]} {arguments[1]}: ", err)

    def test_audit_of_nothing(self) -> None:
        """A file that cannot be read is status 3 with its name and the reason."""
        code, _, err = run("doctor", "audit", "/nonexistent/file")
        self.assertEqual(3, code)
        self.assertIn("/nonexistent/file: cannot be read: No such file", err)

    def test_nobody_to_ask(self) -> None:
        """Without a terminal apply and undo need --yes; without root they say so."""
        for action in ("apply", "undo"):
            code, _, err = run("doctor", action, "--target-rate", "100000")
            if os.geteuid():
                self.assertEqual(3, code)
                self.assertIn("needs root", err)
            else:
                self.assertEqual(64, code)
                self.assertIn("--yes", err)

    def test_write_and_audit_agree(self) -> None:
        """What the doctor writes passes its own audit."""
        place = folder(self)
        code, out, _ = run("doctor", "write", str(place), "--target-rate", "50000", "--workers", "1")
        self.assertEqual(0, code)
        self.assertIn("60-statscounter.conf", out)
        code, out, _ = run(
            "doctor", "audit", "--json", "--target-rate", "50000", "--workers", "1", str(place / "60-statscounter.conf")
        )
        self.assertEqual({"right"}, {remark["grade"] for remark in json.loads(out)["remarks"]}, out)
        self.assertEqual(0, code)


class ServiceTests(SynchronousTestCase):
    """Finding the running service."""

    def test_process_without_sockets(self) -> None:
        """A process that has no sockets is none of ours."""
        root = folder(self)
        (root / "77/fd").mkdir(parents=True)
        error = self.assertRaises(NoService, service_of, 77, root)
        self.assertIn("--pid 77", str(error))

    def test_no_such_address(self) -> None:
        """An address without an answer gives one line."""
        error = self.assertRaises(NoService, service_at, "http://127.0.0.1:1")
        self.assertNotIn("\n", str(error))

    def test_refused(self) -> None:
        """Where the service refuses to tell, its own line says why."""

        class Refusing(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(421)
                self.end_headers()
                self.wfile.write(b"--http-host does not name it\n")

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Refusing) as server:
            thread = Thread(target=server.handle_request)
            thread.start()
            url = f"http://127.0.0.1:{server.server_address[1]}"
            error = self.assertRaises(NoService, service_at, url)
            thread.join()
        self.assertEqual(f"--status-url {url}: 421 --http-host does not name it", str(error))


class RenderTests(SynchronousTestCase):
    """What people and programs see."""

    def setUp(self) -> None:
        """Examine the recorded virtual machine."""
        self.results: list[Result] = examine(machine("vm", folder(self)), TARGET)

    def show(self, console: Console, *, brief: bool = False) -> None:
        """Print the results."""
        print_results(console, self.results, TARGET, "nothing", "6.18", status(self.results), brief=brief)

    def test_pipe(self) -> None:
        """A pipe gets one line a fact: no colours, no folding, no trailing blanks, every check."""
        out = io.StringIO()
        self.show(console_for(out))
        text = out.getvalue()
        self.assertNotIn("\x1b", text)
        self.assertEqual([], [line for line in text.splitlines() if line != line.rstrip()])
        for result in self.results:
            self.assertIn(result.check.title, text)
            self.assertIn(result.judgement.why, text)
            self.assertIn(result.judgement.formula, text)

    def test_terminals(self) -> None:
        """No line is wider than the terminal, at 80 and at 120 columns, and nothing is cut off."""
        for width in (80, 120):
            out = Terminal()
            self.show(Console(file=out, width=width, force_terminal=True, color_system=None, highlight=False))
            self.assertEqual([], [line for line in out.getvalue().splitlines() if len(line) > width])
            words = " ".join(out.getvalue().split())
            for result in self.results:
                self.assertIn(" ".join(result.judgement.why.split()), words)

    def test_brief(self) -> None:
        """Briefly, only what is not fine is shown, and the conclusion."""
        out = io.StringIO()
        self.show(console_for(out), brief=True)
        self.assertIn("net.core.somaxconn", out.getvalue())
        self.assertNotIn("tcp_tw_reuse", out.getvalue())
        self.assertIn("warnings: 10,000 connections per second", out.getvalue())

    def test_hanging(self) -> None:
        """Folded lines hang below the text, even on a terminal that is too narrow."""
        console = Console(file=Terminal(), width=28, force_terminal=True)
        self.assertEqual(
            ["head  one two three four", "      five"], hanging(console, "head  ", "one two three four five")
        )

    def test_json(self) -> None:
        """JSON has a version, the exit status, and every check by its id with all that the table shows."""
        document = json.loads(results_json(self.results, TARGET, "6.18", 1))
        self.assertEqual((1, 1, "6.18"), (document["version"], document["status"], document["kernel"]))
        self.assertEqual([check.id for check in CHECKS], [check["id"] for check in document["checks"]])
        somaxconn = next(check for check in document["checks"] if check["id"] == "accept.somaxconn")
        self.assertEqual(
            ("raise", "warning", "netns", "4,096", "10,400"),
            tuple(somaxconn[name] for name in ("verdict", "weight", "scope", "current", "needed")),
        )
        self.assertEqual("sysctl -w net.core.somaxconn=10400", somaxconn["remedies"][0]["do"])
