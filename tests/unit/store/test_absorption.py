"""A store that was handed over is added to another one: exactly, and once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.store.absorption import Absorption
from statsd_tcp.store.backup import copied
from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.database import Store
from statsd_tcp.store.frozen import Bounds, Frozen, Known, Queue
from statsd_tcp.store.handover import ABSORB, RETIRE, Line, absorbed_of, prepare
from statsd_tcp.store.leaving import Leaving, Stage, enter_leaving, leaving_of
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.aggregate.model import came
from tests.unit.store.cases import RULES, counts, total, values
from tests.unit.store.test_mapped import HISTOGRAM, MappedStoreCase, traits

SERIES = st.dictionaries(st.sampled_from(["a", "b\ncode\n200", "c"]), st.integers(1, 1 << 40).map(float))


class AbsorptionCase(MappedStoreCase):
    """Two stores: what is committed to the one at ``path`` is handed over to the other, its heir."""

    def setUp(self) -> None:
        """Have an heir."""
        super().setUp()
        self.heir = self.path.with_name("heir.db")
        self.folder = self.path.with_name("absorb")
        self.folder.mkdir()

    def at_heir(self, mapping: str = "") -> Store:
        """Open the heir's store."""
        before, self.path = self.path, self.heir
        store = self.mapped(mapping) if mapping else self.open(node="b")
        self.path = before
        return store

    def hand_over(self, other: Store, kind: str = ABSORB, lines: Sequence[Line] = (), heir: str = "") -> Path:
        """Hand a store over."""
        if not heir:
            with_heir = self.at_heir()
            heir = with_heir.identity.uuid
            with_heir.close()
        file = self.folder / f"{other.identity.uuid}.sqlite"

        def copy(connection: sqlite3.Connection) -> None:
            with copied(connection, file) as made:
                prepare(made, kind, heir, lines)

        other.look(copy)
        return file

    def absorb(self) -> None:
        """Start the heir, as far as that adds what was handed over."""
        Absorption(self.heir, self.folder, wall=self.clocks.wall, monotonic=self.clocks.monotonic).run()

    def absorbed(self, other: Store, kind: str = ABSORB) -> Snapshot:
        """Hand a store over, and have it added."""
        self.hand_over(other, kind)
        self.absorb()
        self.assertEqual(list(self.folder.iterdir()), [])
        return self.at_heir().snapshot


class AbsorptionTests(AbsorptionCase):
    """`Absorption`."""

    @given(ours=SERIES, theirs=SERIES)
    @settings(max_examples=10)
    def test_counters(self, ours: dict[str, float], theirs: dict[str, float]) -> None:
        """Each counter has the sum of both."""
        self.setUp()
        heir = self.at_heir()
        self.commit(heir, Interval(counters=ours))
        heir.close()
        other = self.open(node="a")
        self.commit(other, Interval(counters=theirs))
        self.assertEqual(values(self.absorbed(other).counters), dict(Counter(ours) + Counter(theirs)))
        self.doCleanups()

    def test_observations(self) -> None:
        """Sums, counts and buckets are added up; of other bounds as when a rule is changed."""
        heir = self.at_heir(HISTOGRAM % "[0.1, 1]")
        self.commit(heir, Interval(times={"t.a": came({100.0: 2.0})}, distributions={"d": came({5.0: 1.0})}))
        heir.close()
        other = self.mapped(HISTOGRAM % "[0.1, 0.5, 1]")
        self.commit(other, Interval(times={"t.a": came({50.0: 1.0, 400.0: 1.0}), "u": came({1.0: 3.0})}))
        snapshot = self.absorbed(other)
        self.assertEqual(values(snapshot.times), {"t": 650.0, "u": 3.0})
        self.assertEqual(list(snapshot.times.weights), [4.0, 3.0])
        self.assertEqual(traits(snapshot.times)["t"].counts, (3.0, 1.0))
        self.assertEqual(values(snapshot.distributions), {"d": 5.0})

    def test_new_histogram(self) -> None:
        """A histogram that the heir does not have comes with its buckets."""
        other = self.mapped(HISTOGRAM % "[0.1, 1]")
        self.commit(other, Interval(times={"t.a": came({100.0: 2.0})}))
        self.assertEqual(traits(self.absorbed(other).times)["t"].counts, (2.0, 0.0))

    def test_own_totals(self) -> None:
        """The service's own totals are added up, those of ledgers that are not folded too; these are not open then."""
        for store, cells in ((self.at_heir(), 3), (self.open(node="a"), 4)):
            store.commit(CommitBatch(counts=[counts("L1", accepted=cells, closed_eof=cells - 1)], pieces=[]))
            if cells == 3:
                store.commit(CommitBatch(counts=[], pieces=[], folded=["L1"]))
                store.close()
        snapshot = self.absorbed(store)
        self.assertEqual(total(snapshot, "accepted"), 7)
        closed = (total(snapshot, "closed", detail="eof"), total(snapshot, "closed", detail="killed"))
        self.assertEqual(closed, (5, 2))

    def test_not_taken_over(self) -> None:
        """Gauges and sets stay with the node that had them."""
        other = self.open(node="a")
        self.commit(other, Interval(gauges={"g": [(1, False, 2.0)]}))
        snapshot = self.absorbed(other)
        self.assertEqual((len(snapshot.gauges), len(snapshot.sets)), (0, 0))

    def test_once(self) -> None:
        """What is there already is not added again."""
        other = self.open(node="a")
        self.commit(other, Interval(counters={"a": 1.0}))
        for _ in range(2):
            self.assertEqual(values(self.absorbed(other).counters), {"a": 1.0})
        with_heir = self.at_heir()
        (known,) = with_heir.look(absorbed_of)
        self.assertEqual((known.uuid, known.node, known.kind), (other.identity.uuid, "a", ABSORB))
        with_heir.close()

    def test_chain(self) -> None:
        """A store brings along what it had absorbed itself."""
        first = self.open(node="a")
        self.commit(first, Interval(counters={"a": 1.0}))
        self.absorbed(first)
        last, self.heir = self.at_heir(), self.path.with_name("last.db")
        self.absorbed(last)
        self.assertEqual(values(self.absorbed(first).counters), {"a": 1.0})

    def test_retired(self) -> None:
        """Of a node that retires nothing is added."""
        other = self.open(node="a")
        self.commit(other, Interval(counters={"a": 1.0}))
        self.assertEqual(values(self.absorbed(other, RETIRE).counters), {})

    def test_not_for_this_store(self) -> None:
        """What cannot be read, or was handed over to another store, is set aside, and the log says so."""
        other = self.open(node="a")
        self.commit(other, Interval(counters={"a": 1.0}))
        self.at_heir().close()
        for spoil in (lambda file: None, lambda file: file.write_bytes(b"nothing")):
            file = self.hand_over(other, heir="x")
            spoil(file)
            with capturedLogs() as logs:
                self.absorb()
            self.assertEqual([path.name for path in self.folder.iterdir()], [f"{file.name}.failed"])
            self.assertEqual(len(logs), 1)
            Path(f"{file}.failed").unlink()
        self.assertEqual(len(self.at_heir().snapshot.counters), 0)

    def test_outputs(self) -> None:
        """Outputs of the same name have to end the lines, get what waited, and go on after the last request."""
        queue, their_queue = (Queue("o", Bounds(9, 1 << 20), {"node": name}) for name in "ba")
        heir, other = self.at_heir(), self.open(node="a")
        for store, each, time in ((heir, queue, 1000), (other, their_queue, 3000)):
            store.change(lambda connection, each=each: each.load(connection, ["o"]))  # type: ignore[misc]
            store.change(
                lambda connection, each=each, time=time: each.put(  # type: ignore[misc]
                    connection, Known(), Known(time, 0, 0), [Frozen(time, 1, False, b"%d" % time)]
                )
            )
        heir.close()
        lines = [Line("o", "x ", True), Line("o", "y ", False), Line("p", "x ", True)]
        self.hand_over(other, lines=lines)
        self.absorb()
        heir = self.at_heir()
        known = heir.change(lambda connection: queue.load(connection, ["o"]))
        leaving = Leaving(other.identity.uuid, {"node": "a"}, {"x ": True, "y ": False})
        self.assertEqual((known.last, known.leaving), (3000, (leaving,)))
        self.assertEqual(heir.look(queue.state).requests, 2)
        for after in ((leaving._replace(stage=Stage.SAID, since=4000),), ()):
            before, known = known, known._replace(leaving=after)
            heir.change(lambda connection: queue.put(connection, before, known, []))  # noqa: B023
            self.assertEqual(heir.look(lambda connection: leaving_of(connection, "o")), after)

    def test_labels_again(self) -> None:
        """Lines of a node that is leaving are ended with those of a later one that had the same labels."""
        store = self.at_heir()
        for uuid, lines in (("first", [("x ", True), ("y ", False)]), ("other", []), ("second", [("x ", True)])):
            labels = '{"node":"c"}' if uuid == "other" else '{"node":"a"}'
            store.change(lambda connection: enter_leaving(connection, "o", uuid, labels, lines))  # noqa: B023
        self.assertEqual(
            store.look(lambda connection: leaving_of(connection, "o")),
            (Leaving("other", {"node": "c"}, {}), Leaving("second", {"node": "a"}, {"x ": True, "y ": False})),
        )

    def test_same_labels(self) -> None:
        """A node that had the same labels has no lines of its own to end."""
        heir, other = self.at_heir(), self.open(node="a")
        queue = Queue("o", Bounds(9, 1 << 20), {"node": "a"})
        for store in (heir, other):
            store.change(lambda connection: queue.load(connection, ["o"]))
            store.change(lambda connection: queue.put(connection, Known(), Known(1000, 0, 0), []))
        heir.close()
        self.hand_over(other, lines=[Line("o", "x ", True)])
        self.absorb()
        self.assertEqual(self.at_heir().look(lambda connection: leaving_of(connection, "o")), ())

    def test_no_flush(self) -> None:
        """Nothing that was added is part of a flush."""
        clocks = self.clocks

        def at_heir() -> Store:
            store = Store(self.heir, flushes=RULES, wall=clocks.wall, monotonic=clocks.monotonic)
            self.addCleanup(store.close)
            return store

        at_heir().close()
        other = self.open(node="a")
        self.commit(other, Interval(counters={"a": 5.0}))
        self.hand_over(other)
        self.absorb()
        store = at_heir()
        self.commit(store, Interval(counters={"b": 1.0}))
        clocks.advance(15)
        snapshot = self.commit(store, Interval())
        queued = store.after("one", 0)
        assert queued
        self.assertEqual({name: value for name, value in queued.result.counters.items() if value}, {"b": 1.0})
        self.assertEqual(values(snapshot.counters), {"a": 5.0, "b": 1.0})
