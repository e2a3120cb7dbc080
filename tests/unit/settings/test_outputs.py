"""The values of the options about outputs, and what is made of them."""

from __future__ import annotations

import importlib.metadata
import io
import json
import math
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from twisted.internet.testing import MemoryReactorClock as Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.aggregate.timers import Histogram
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.outputs.plugins import PluginError, make_plugin
from statsd_tcp.outputs.terminal import as_json, as_table
from statsd_tcp.service.outputs import flush_rules, make_outputs
from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.outputs import (
    PluginSpec,
    parse_console,
    parse_histogram,
    parse_idle_kinds,
    parse_percentiles,
    parse_plugin,
    parse_timer_fields,
)
from statsd_tcp.settings.settings import Settings, SettingsError
from statsd_tcp.wire.series import series_identity


@implementer(IOutput)
class Kept:
    """An output that does nothing."""

    def deliver(self, flush: FlushResult) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


def make_kept(reactor: Any, arguments: Mapping[str, str]) -> Kept:
    """Make one, unless it is asked for what there is not."""
    if "colour" in arguments:
        raise ValueError(f"colour={arguments['colour']} is not to be had")
    return Kept()


def make_nothing(reactor: Any, arguments: Mapping[str, str]) -> object:
    """Make what is no output."""
    return object()


def settings(**given: str | list[str]) -> Settings:
    """Make settings of options."""
    texts = {name.replace("_", "-"): [text] if isinstance(text, str) else text for name, text in given.items()}
    return build_settings(texts)


class ParseTests(SynchronousTestCase):
    """Single values."""

    def test_good(self) -> None:
        """Each value is read as it is documented."""
        self.assertEqual(parse_percentiles("90, 99.9,-10,90"), (90.0, 99.9, -10.0))
        self.assertEqual(parse_percentiles("none"), ())
        self.assertEqual(parse_timer_fields("count, upper_percent"), {"count", "upper_percent"})
        self.assertEqual(
            parse_histogram("a=b=1,2.5,inf"), Histogram("a=b", (("1", 1.0), ("2.5", 2.5), ("inf", math.inf)))
        )
        self.assertEqual(parse_histogram("=5").metric, "")
        self.assertEqual(parse_histogram("a=b="), Histogram("a=b", ()))
        self.assertEqual(parse_idle_kinds("all"), {"c", "g", "ms", "s"})
        self.assertEqual(parse_idle_kinds("counters,timers"), {"c", "ms"})
        self.assertEqual(parse_plugin(r"file:path=/tmp/a\:b:n=1"), PluginSpec("file", {"path": "/tmp/a:b", "n": "1"}))
        self.assertEqual((parse_console("human"), parse_console("json")), ("human", "json"))

    def test_bad(self) -> None:
        """What is wrong is said."""
        cases = [
            (parse_percentiles, "0", "'0' is not a percentile"),
            (parse_percentiles, "101", "'101' is not a percentile"),
            (parse_percentiles, "90,x", "'x' is not a percentile: above 0 and up to 100, or the same below 0, as in"),
            (parse_percentiles, "nan", "'nan' is not a percentile"),
            (parse_timer_fields, "count,median,uper", "'uper' is not one of"),
            (parse_histogram, "1,2", "not of the form PART=LIMIT"),
            (parse_histogram, "a=1,x", "'x' is not the limit of a bin, as in PART=10,50,inf"),
            (parse_histogram, "a=1,", "'' is not the limit of a bin"),
            (parse_histogram, "a=2,1", "the limits do not rise"),
            (parse_idle_kinds, "counters,gauge", "'gauge' is not one of all, counters"),
            (parse_plugin, ":a=1", "the name of the output is missing"),
            (parse_plugin, "file:path", "'path' is not of the form key=value"),
            (parse_console, "xml", "'xml' is not one of human, json"),
        ]
        for parse, text, message in cases:
            with self.subTest(text=text):
                self.assertIn(message, str(self.assertRaises(ValueError, parse, text)))


class SettingsTests(SynchronousTestCase):
    """All options together."""

    def test_defaults(self) -> None:
        """Without options there is no output, and flushes are as etsy's."""
        found = settings()
        self.assertEqual(make_outputs(Clock(), found), {})
        rules = flush_rules(found, {})
        self.assertEqual((rules.seconds, rules.timers.percentiles, rules.timers.only), (10, (90.0,), frozenset()))
        self.assertEqual((rules.idle.delete, rules.idle.gauge_flushes, rules.idle.ttl), (frozenset(), 1, 604_800.0))
        self.assertEqual((rules.limit, rules.queue, rules.outputs), ((1_000_000, 128 << 20), 8_640, ()))

    def test_given(self) -> None:
        """What is given ends in the rules, under the outputs' names."""
        found = settings(
            graphite=["tcp:a:2003", "tcp:b:2003"],
            console="json",
            flush_interval="60",
            percentiles="50",
            delete_idle="gauges",
            gauges_ttl="3",
            series_ttl="3600",
            max_series="5",
            max_series_bytes="600",
            output_queue="7",
            histogram=["a=1"],
            timer_fields="count",
        )
        rules = flush_rules(found, make_outputs(Clock(), found))
        self.assertEqual(rules.outputs, ("graphite:a:2003", "graphite:b:2003", "console"))
        self.assertEqual(
            (rules.seconds, rules.timers.percentiles, rules.queue, rules.limit), (60, (50.0,), 7, (5, 600))
        )
        self.assertEqual((rules.idle.delete, rules.idle.gauge_flushes, rules.idle.ttl), ({"g"}, 3, 3600.0))
        self.assertEqual((rules.timers.only, rules.timers.histograms[0].metric), ({"count"}, "a"))

    def test_off(self) -> None:
        """An empty value switches off what can be."""
        found = settings(console="", percentiles="", delete_idle="", timer_fields="", graphite="")
        self.assertEqual(
            (found.console, found.percentiles, found.delete_idle, found.graphite), (None, (), frozenset(), ())
        )

    def test_twice(self) -> None:
        """Two outputs of one name are refused."""
        for given in ({"graphite": ["tcp:a:1", "tcp:a:1:protocol=pickle"]}, {"output": ["x", "y:name=x"]}):
            self.assertIn("is given twice", str(self.assertRaises(SettingsError, settings, **given)))


class PluginTests(SynchronousTestCase):
    """Outputs of other packages."""

    def setUp(self) -> None:
        """Have some outputs installed."""
        here = __name__
        found = [
            EntryPoint(name, f"{here}:{target}", "statscounter.outputs")
            for name, target in (("kept", "make_kept"), ("nothing", "make_nothing"), ("gone", "no_such_thing"))
        ]
        self.patch(importlib.metadata, "entry_points", lambda group: found if group == "statscounter.outputs" else [])

    def test_good(self) -> None:
        """An output is made by the name of its entry point, and known by its own name if it has one."""
        spec = parse_plugin("kept:name=mine:size=5")
        self.assertIsInstance(make_plugin(Clock(), spec), Kept)
        self.assertEqual((spec.label, parse_plugin("kept").label), ("mine", "kept"))
        self.assertEqual(list(make_outputs(Clock(), settings(output=["kept", "kept:name=mine"]))), ["kept", "mine"])

    def test_bad(self) -> None:
        """What cannot be made is one line that names the option and the cause."""
        cases = {
            "other": "--output other: no installed package has such an output (there are gone, kept, nothing)",
            "kept:colour=red": "--output kept: colour=red is not to be had",
            "nothing": "--output nothing: what it makes is no IOutput",
            "gone": "--output gone: cannot be loaded: AttributeError:",
        }
        for text, message in cases.items():
            with self.subTest(text=text):
                error = self.assertRaises(PluginError, make_plugin, Clock(), parse_plugin(text))
                self.assertIn(message, str(error))
                self.assertNotIn("\n", str(error))


class ConsoleTests(SynchronousTestCase):
    """What is printed."""

    FLUSH = FlushResult(
        start=1_700_000_000,
        seconds=10,
        counters={series_identity("hits", [("code", "200"), ("bare", "")]): 5.0},
        gauges={"level": -1.5},
        sets={"users": 2},
        timers={"time": {"count": 1.0, "mean_90": 7.0}},
        lines=8,
        bad_lines=1,
    )

    def test_json(self) -> None:
        """A flush is one line of JSON, with the tags behind the names."""
        text = as_json(self.FLUSH)
        self.assertEqual(text.count("\n"), 1)
        found = json.loads(text)
        self.assertEqual(found["timestamp"], 1_700_000_010)
        self.assertEqual(found["counters"], {"hits;bare;code=200": 5.0})
        self.assertEqual(found["counter_rates"], {"hits;bare;code=200": 0.5})
        self.assertEqual((found["gauges"], found["sets"], found["lines"]), ({"level": -1.5}, {"users": 2}, 8))
        self.assertEqual(found["timers"], {"time": {"count": 1.0, "mean_90": 7.0}})

    def test_human(self) -> None:
        """For people there is a line for each series, with what matters of its kind."""
        self.assertEqual(
            as_table(self.FLUSH).splitlines(),
            [
                "2023-11-14 22:13:30Z  10 s, 8 lines, 1 of them bad",
                "  counter  hits;bare;code=200  5  (0.5/s)",
                "  gauge    level  -1.5",
                "  set      users  2",
                "  timer    time  count=1 mean_90=7",
            ],
        )

    def test_one_text_for_two(self) -> None:
        """Two series whose names read the same are both written."""
        timers = {series_identity("a", [("k", "v")]): {"mean": 1.0}, "a;k=v": {"mean": 2.0}}
        flush = FlushResult(start=0, seconds=10, timers=timers)
        self.assertIn('"timers":{"a;k=v":{"mean":1.0},"a;k=v":{"mean":2.0}}', as_json(flush))
        rows = ["  timer    a;k=v  mean=1", "  timer    a;k=v  mean=2"]
        self.assertEqual(rows, as_table(flush).splitlines()[1:])

    def test_the_stream_of_the_process(self) -> None:
        """The console writes to the standard output of the process, whatever the log has put in its place."""
        stream = io.StringIO()
        self.patch(sys, "__stdout__", stream)
        output = make_outputs(Clock(), settings(console="human"))["console"]
        output._print(self.FLUSH)  # type: ignore[attr-defined]
        self.assertIn("hits", stream.getvalue())
