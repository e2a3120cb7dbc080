"""What an output is told at the end of a slot."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.remote_write.encoding import STALE
from statsd_tcp.remote_write.farewell import advanced, held_back
from statsd_tcp.remote_write.freezing import REPEATED, Freezer, Page, Slot
from statsd_tcp.store.frozen import ENDED, Frozen, Known
from statsd_tcp.store.leaving import Leaving, Stage
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition import Exposition
from tests.unit.remote_write.messages import read
from tests.unit.web.tables import make_snapshot

SECONDS = 10
START = 1_800_000_000_000

Told = dict[str, tuple[float, int]]


def named(labels: Iterable[tuple[str, str]]) -> str:
    """Write labels in short."""
    pairs = dict(labels)
    name = pairs.pop("__name__")
    return name + "".join(f" {key}={value}" for key, value in sorted(pairs.items()))


class FreezingTests(SynchronousTestCase):
    """`Freezer`."""

    def setUp(self) -> None:
        """Have one."""
        self.freezer = Freezer(Page(""), {}, SECONDS)
        self.known = Known()
        self.number = 0

    def freeze(self, snapshot: Snapshot, *families: Metric) -> list[Frozen]:
        """Let a slot end."""
        self.number += 1
        end = START + self.number * SECONDS * 1000
        slot = Slot(end, end - SECONDS * 1000, self.number)
        self.known, requests = self.freezer.freeze(snapshot, families, slot, self.known)
        return requests

    def told(self, snapshot: Snapshot, *families: Metric) -> list[Told]:
        """Let a slot end, and read its requests."""
        found: list[Told] = []
        for request in self.freeze(snapshot, *families):
            series = read(request.body)
            self.assertEqual(request.series, len(series))
            self.assertTrue(all(len(samples) == 1 for _, samples in series))
            self.assertTrue(all(samples[0][1] == request.time for _, samples in series))
            request_told = {named(labels): samples[0] for labels, samples in series}
            self.assertEqual(len(request_told), len(series))
            found.append(request_told)
        return found

    def values(self, *told: Told) -> dict[str, float]:
        """Take the values alone."""
        return {name: value for each in told for name, (value, _) in each.items()}

    def test_lines_of_the_page(self) -> None:
        """What is told is what the page has, line for line, except for quantiles."""
        snapshot = make_snapshot(
            ("c", "hits.total\ncode\n200", 3.0),
            ("c", "9.a-b.total", 1.0),
            ("g", "level", -2.5),
            ("ms", "time", 250.0, 4.0),
        )
        page = Exposition().render(snapshot, openmetrics=False).decode()
        lines = {
            named([("__name__", sample.name), *sample.labels.items()]): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if "quantile" not in sample.labels
        }
        self.assertEqual(self.values(*self.told(snapshot)), lines)

    def test_own(self) -> None:
        """The service's own metrics are told under the names that they have on the page."""
        family = CounterMetricFamily("statscounter_x", "Text.", labels=("a",))
        family.add_metric(("b",), 3)
        self.assertEqual(self.values(*self.told(make_snapshot(), family)), {"statscounter_x_total a=b": 3.0})

    def test_changes(self) -> None:
        """Only what has changed is told."""
        self.told(make_snapshot(("c", "a", 1.0), ("c", "b", 1.0)))
        (told,) = self.told(make_snapshot(("c", "a", 1.0), ("c", "b", 2.0)))
        self.assertEqual(told, {"b": (2.0, START + 20_000)})
        self.assertEqual(self.told(make_snapshot(("c", "a", 1.0), ("c", "b", 2.0))), [])

    def test_repeated(self) -> None:
        """Every series is told again within two minutes, and not all in the same slot."""
        snapshot = make_snapshot(*[("c", f"s{number}", 1.0) for number in range(100)])
        self.told(snapshot)
        slots = [self.values(*self.told(snapshot)) for _ in range(REPEATED // SECONDS)]
        self.assertEqual(sum(len(slot) for slot in slots), 100)
        self.assertLess(max(len(slot) for slot in slots), 20)

    def test_first_zero(self) -> None:
        """A counter that comes later begins with 0, just behind the slot's start and in a request before its value."""
        self.told(make_snapshot(("c", "old", 5.0)))
        self.known = self.known._replace(taken=self.known.last)
        first, then = self.told(make_snapshot(("c", "old", 5.0), ("c", "new", 2.0), ("g", "level", 3.0)))
        self.assertEqual(first, {"new": (0.0, START + 10_001)})
        self.assertEqual(then, {"new": (2.0, START + 20_000), "level": (3.0, START + 20_000)})

    def test_no_zero_for_what_was_there(self) -> None:
        """What was there before a receiver took anything begins with its total, also after a restart."""
        snapshot = make_snapshot(("c", "old", 5.0))
        self.assertEqual(self.values(*self.told(snapshot)), {"old": 5.0})
        self.assertEqual(len(self.told(make_snapshot(("c", "old", 5.0), ("c", "next", 2.0)))), 1)
        self.known = self.known._replace(taken=self.known.last)
        self.freezer = Freezer(Page(""), {}, SECONDS)
        (told,) = self.told(make_snapshot(("c", "old", 6.0), ("c", "next", 2.0)))
        self.assertEqual(self.values(told), {"old": 6.0, "next": 2.0})

    def test_own_zero(self) -> None:
        """A line of the service's own that comes later begins with 0; after a restart it is not new."""
        family = CounterMetricFamily("statscounter_x", "Text.", labels=("a",))
        family.add_metric(("b",), 3)
        self.told(make_snapshot(), family)
        self.known = self.known._replace(taken=self.known.last)
        family.add_metric(("c",), 4)
        first, then = self.told(make_snapshot(), family)
        self.assertEqual(
            (self.values(first), self.values(then)),
            ({"statscounter_x_total a=c": 0.0}, {"statscounter_x_total a=c": 4.0}),
        )
        self.freezer = Freezer(Page(""), {}, SECONDS)
        self.assertEqual(len(self.told(make_snapshot(), family)), 1)

    def test_end(self) -> None:
        """A series that is there no more ends with the mark that says so, once; one of the service's own too."""
        family = GaugeMetricFamily("statscounter_y", "Text.", value=1)
        self.told(make_snapshot(("c", "a", 1.0)), family)
        (told,) = self.told(make_snapshot(epoch=1))
        self.assertEqual(
            {name: struct.pack("<d", value) for name, (value, _) in told.items()}, {"a": STALE, "statscounter_y": STALE}
        )
        self.assertEqual(self.told(make_snapshot(epoch=1)), [])

    def test_own_end_after_a_restart(self) -> None:
        """A line of the service's own that is gone after a restart ends; one that counted never begins with 0 again."""
        level = GaugeMetricFamily("statscounter_y", "Text.", value=1)
        total = CounterMetricFamily("statscounter_x", "Text.", value=2)
        self.told(make_snapshot(), level, total)
        self.known = self.known._replace(taken=self.known.last)
        self.freezer = Freezer(Page(""), {}, SECONDS)
        (told,) = self.told(make_snapshot())
        self.assertEqual(
            {name: struct.pack("<d", value) for name, (value, _) in told.items()},
            {"statscounter_x_total": STALE, "statscounter_y": STALE},
        )
        self.assertEqual(self.told(make_snapshot()), [])
        self.assertEqual(self.known.own, {"statscounter_x_total ": ENDED})
        (told,) = self.told(make_snapshot(), level, total)
        self.assertEqual(self.values(told), {"statscounter_x_total": 2.0, "statscounter_y": 1.0})

    def test_own_name_of_a_client(self) -> None:
        """A client's series that is called like one of the service's own does not end with it."""
        snapshot = make_snapshot(("c", "statscounter_overflow", 1.0))
        self.told(snapshot)
        self.assertEqual(self.told(snapshot), [])

    def test_edges(self) -> None:
        """Requests that nothing repeats are marked: the first samples and the ends."""
        self.freeze(make_snapshot(("c", "a", 1.0)))
        self.known = self.known._replace(taken=self.known.last)
        requests = self.freeze(make_snapshot(("c", "b", 1.0), epoch=1))
        self.assertEqual([request.edge for request in requests], [True, True, False])

    def test_farewell(self) -> None:
        """A node leaves slot by slot, and our lines of the same names stand still until its last samples.

        These are in one request with ours, which is never left out.
        """
        total = CounterMetricFamily("statscounter_x", "Text.", value=2)
        self.told(make_snapshot(("c", "both", 1.0), ("c", "ours", 1.0)), total)
        lines = {"both ": True, "theirs ": True, "level ": False, "statscounter_x_total ": True, "gone ": True}
        self.known = self.known._replace(
            taken=self.known.last, leaving=(Leaving("uuid", {"node": "a"}, lines), Leaving("other", {}, {"z ": True}))
        )
        series = ("c", "both", 6.0), ("c", "ours", 2.0), ("c", "theirs", 3.0), ("g", "mine", 0.0)
        first, then = self.told(make_snapshot(*series), total)
        self.assertEqual(self.values(first), {"theirs": 0.0})
        self.assertEqual(self.values(then), {"ours": 2.0, "mine": 0.0})
        self.assertEqual(self.told(make_snapshot(*series), total), [])
        (request,) = self.freeze(make_snapshot(*series), total)
        self.assertTrue(request.edge)
        told = {named(labels): samples[0] for labels, samples in read(request.body)}
        end = START + 40_000
        self.assertEqual(
            told,
            {
                "statscounter_x_total": (2.0, end),
                "both": (6.0, end),
                "both node=a": (0.0, end),
                "theirs": (3.0, end),
                "theirs node=a": (0.0, end),
                "statscounter_x_total node=a": (0.0, end),
                "gone node=a": (0.0, end),
                "z": (0.0, end),
            },
        )
        # Until a receiver has had them for ten seconds, ours are told with theirs, and the rest without.
        series = ("c", "both", 7.0), ("c", "ours", 3.0), ("c", "theirs", 3.0), ("g", "mine", 0.0)
        beside, values = self.freeze(make_snapshot(*series), total)
        self.assertEqual((beside.edge, values.edge), (False, False))
        near = {named(labels): value for labels, ((value, _),) in read(beside.body)}
        self.assertEqual(near, {"both": 7.0, "both node=a": 0.0})
        self.assertEqual([named(labels) for labels, _ in read(values.body)], ["ours"])
        self.known = self.known._replace(taken=self.known.last)
        self.assertEqual(self.told(make_snapshot(*series), total), [])
        (again,) = self.freeze(make_snapshot(*series), total)
        self.assertTrue(again.edge)
        zeros = {f"{head}node=a": 0.0 for head, counts in lines.items() if counts} | {"z": 0.0}
        zeros |= {"both": 7.0, "theirs": 3.0, "statscounter_x_total": 2.0}
        self.assertEqual({named(labels): value for labels, ((value, _),) in read(again.body)}, zeros)
        marks, *_ = self.told(make_snapshot(*series), total)
        self.assertEqual(set(marks), {*(f"{head}node=a" for head in lines), "z"})
        self.assertEqual({struct.pack("<d", value) for value, _ in marks.values()}, {STALE})

    def test_last_farewell(self) -> None:
        """Two minutes after the end of a node's series that is told once more, with all lines: an engine may fail."""
        ended = self.known.last + 1
        leaving = Leaving("uuid", {"node": "a"}, {"x ": True, "level ": False}, Stage.ENDED, START + ended)
        self.known = self.known._replace(leaving=(leaving,))
        told = {}
        while self.known.leaving:
            for request in self.told(make_snapshot()):
                told[(self.known.last - START) // 1000] = request
        self.assertEqual(list(told), [130, 140])
        self.assertEqual(self.values(told[130]), {"x node=a": 0.0})
        self.assertEqual(set(told[140]), {"x node=a", "level node=a"})

    def test_stages_of_a_farewell(self) -> None:
        """The first samples of what is new come 15 seconds before the last ones, which are repeated when taken."""
        leaving = [Leaving("uuid", {"node": "a"}, {"x ": True})]
        entered = []
        for end in range(1000, 153_000, 1000):
            leaving = advanced(leaving, end, end - 3000)
            if leaving[0].since == end:
                entered.append((end // 1000, leaving[0].stage.name, held_back(leaving)))
        held = {"x "}
        names = [(1, "HELD", held), (16, "SAID", set()), (20, "TAKEN", set()), (30, "REPEATED", set())]
        self.assertEqual(entered, [*names, (31, "ENDED", set()), (151, "LAST", set()), (152, "GONE", set())])

    def test_farewell_waits(self) -> None:
        """Last samples that no receiver has taken are not repeated, however long it is away."""
        (leaving,) = advanced([Leaving("uuid", {}, {}, Stage.SAID, 5000)], 500_000, 5000)
        self.assertEqual(leaving.stage, Stage.SAID)

    def test_farewell_of_a_clock_that_was_ahead(self) -> None:
        """A farewell begins again if the clock is set back: what was told in its time is dropped."""
        (leaving,) = advanced([Leaving("uuid", {}, {}, Stage.SAID, 500_000)], 5000, 4000)
        self.assertEqual((leaving.stage, leaving.since), (Stage.HELD, 5000))

    def test_forgotten(self) -> None:
        """What did not reach the queue is told again."""
        snapshot = make_snapshot(("c", "a", 1.0))
        self.told(snapshot)
        self.freezer.forget()
        self.assertEqual(self.values(*self.told(snapshot)), {"a": 1.0})
