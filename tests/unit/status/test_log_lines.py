"""The log on standard output: time, level and text, or all of an event as JSON."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from twisted.application.service import Application
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.reload.opened_again import logs_to_stdout
from statsd_tcp.status.log_lines import make_observer, observe, plain_text, plain_under_twist

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"


class Emitter:
    """Something with a logger, whose events carry its class and its module."""

    def __init__(self, observer: ILogObserver) -> None:
        self.log = Logger(observer=observer, source=self)


class PlainTextTests(SynchronousTestCase):
    """Lines for people."""

    def written(self, *events: tuple[LogLevel, str], **fields: Any) -> str:
        """Return what is written for events of a logger of this module."""
        stream = io.StringIO()
        emitter = Emitter(make_observer("text", stream))
        for level, text in events:
            emitter.log.emit(level, text, **fields)
        return stream.getvalue()

    def test_lines(self) -> None:
        """A line has the time, the level and the text, and names no module and no class."""
        lines = self.written(
            (LogLevel.info, "it {what}"), (LogLevel.critical, "all is lost"), what="works"
        ).splitlines()
        self.assertRegex(lines[0], f"^{TIME} info  it works$")
        self.assertRegex(lines[1], f"^{TIME} critical all is lost$")

    def test_several_lines(self) -> None:
        """Further lines of a text stand in, so that each event begins with its time."""
        first, second = self.written((LogLevel.warn, "one\ntwo")).splitlines()
        self.assertRegex(first, f"^{TIME} warn  one$")
        self.assertEqual("\ttwo", second)

    def test_failure(self) -> None:
        """A failure is written with its traceback."""
        stream = io.StringIO()
        emitter = Emitter(make_observer("text", stream))
        emitter.log.failure("it failed", Failure(ValueError("broken")))
        first, *more = stream.getvalue().splitlines()
        self.assertRegex(first, f"^{TIME} critical it failed$")
        self.assertIn("ValueError: broken", more[-1])

    def test_reactor_class(self) -> None:
        """Twisted's line with nothing but the name of a class is left out, and so is an event without a text."""
        self.assertIsNone(plain_text({"log_format": "reactor class: {reactor}.", "reactor": "a.b.C", "log_time": 0.0}))
        self.assertIsNone(plain_text({"log_format": "", "log_time": 0.0}))

    def test_older_events(self) -> None:
        """An event without a level counts as one for information."""
        self.assertRegex(str(plain_text({"log_format": "hello", "log_time": 0.0})), f"^{TIME} info  hello\n$")


class JsonTests(SynchronousTestCase):
    """Lines for programs."""

    def test_json(self) -> None:
        """Each event is one line that is an object, with the module and the fields."""
        stream = io.StringIO()
        Emitter(make_observer("json", stream)).log.warn("it {what}", what="works\nin two lines")
        (line,) = stream.getvalue().splitlines()
        found = json.loads(line)
        self.assertEqual(("works\nin two lines", "it works\nin two lines"), (found["what"], found["text"]))
        self.assertIn("test_log_lines", found["log_namespace"])


class ObserverTests(SynchronousTestCase):
    """Who writes the log."""

    def test_application(self) -> None:
        """An application without an observer gets ours, and one that has its own keeps it."""
        application: Componentized = Application("x")
        ours, theirs = make_observer("text", io.StringIO()), textFileLogObserver(io.StringIO())
        observe(application, ours)
        self.assertIs(ours, application.getComponent(ILogObserver))
        own: Componentized = Application("y")
        own.setComponent(ILogObserver, theirs)
        observe(own, ours)
        self.assertIs(theirs, own.getComponent(ILogObserver))
        observe(object(), ours)

    def test_twistd(self) -> None:
        """Only a twistd in the foreground that was given no other place writes to standard output."""
        self.assertEqual(
            [True, True, False, False, False, False, False],
            [
                logs_to_stdout(twistd)
                for twistd in (
                    {"nodaemon": 1},
                    {"nodaemon": 1, "logfile": "-"},
                    {"nodaemon": 1, "logfile": "x.log"},
                    {"nodaemon": 1, "syslog": 1},
                    {"nodaemon": 1, "logger": "a.b"},
                    {"nodaemon": 0},
                    {},
                )
            ],
        )

    def test_twist(self) -> None:
        """Where twist would write Twisted's text it writes plain lines, and its JSON stays."""
        for factory, replaced in ((textFileLogObserver, True), (jsonFileLogObserver, False)):
            options: dict[str, Any] = {"fileLogObserverFactory": factory}
            plain_under_twist(options)
            self.assertEqual(replaced, options["fileLogObserverFactory"] is not factory)
        none: dict[str, Any] = {}
        plain_under_twist(none)
        self.assertEqual({}, none)

    def test_twist_text(self) -> None:
        """The plain lines of twist go to the stream that it names."""
        options: dict[str, Any] = {"fileLogObserverFactory": textFileLogObserver}
        plain_under_twist(options)
        stream = io.StringIO()
        event: LogEvent = {"log_format": "hello", "log_time": 0.0, "log_level": LogLevel.info}
        options["fileLogObserverFactory"](stream)(event)
        self.assertTrue(re.fullmatch(f"{TIME} info  hello\n", stream.getvalue()))
