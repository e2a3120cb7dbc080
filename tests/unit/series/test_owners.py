"""Who owns a name that several families want."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.shown import Family
from statsd_tcp.series.owners import FIRST, HELD, SILENCE, Candidate, Decision, Owner, decide

NOW = 1_700_000_000.0

OLD = HELD + 1
"""Seconds since a takeover that no longer matters."""

COUNTER, GAUGE, TIMER, DISTRIBUTION = (Family("q", kind) for kind in ("c", "g", "ms", "h"))
PART = Family("q_count", "c")

FamilyAt = tuple[Family, float, bool]
"""A family, how many seconds ago it came last, and whether it came in several commits."""

CASES: tuple[tuple[str, list[FamilyAt], Mapping[str, tuple[Family, float]], set[Family]], ...] = (
    ("the first has the name", [(COUNTER, 0, True), (GAUGE, 0, True)], {}, {COUNTER}),
    ("the holder has it", [(COUNTER, 0, True), (GAUGE, 0, True)], {"q": (GAUGE, OLD)}, {GAUGE}),
    ("the holder came once", [(COUNTER, 0, False), (GAUGE, 0, True)], {}, {GAUGE}),
    ("both came once", [(COUNTER, 0, False), (GAUGE, 0, False)], {}, {COUNTER}),
    ("nearly silent", [(COUNTER, SILENCE - 1, True), (GAUGE, 0, True)], {}, {COUNTER}),
    ("silent", [(COUNTER, SILENCE, True), (GAUGE, 0, True)], {}, {GAUGE}),
    ("silent, both came once", [(COUNTER, SILENCE, False), (GAUGE, 0, False)], {}, {GAUGE}),
    ("all silent", [(COUNTER, 5 * SILENCE, True), (GAUGE, 5 * SILENCE, True)], {}, {COUNTER}),
    ("one line after a silence", [(COUNTER, SILENCE, True), (GAUGE, 0, False)], {}, {COUNTER}),
    ("taken over lately", [(COUNTER, 0, True), (GAUGE, SILENCE, True)], {"q": (GAUGE, HELD - 1)}, {GAUGE}),
    ("taken over an hour ago", [(COUNTER, 0, True), (GAUGE, SILENCE, True)], {"q": (GAUGE, HELD)}, {COUNTER}),
    ("the holder is gone", [(COUNTER, 0, True), (GAUGE, 0, True)], {"q": (TIMER, 0)}, {COUNTER}),
    ("the latest of two", [(COUNTER, 3 * SILENCE, True), (GAUGE, SILENCE, True), (TIMER, 0, True)], {}, {TIMER}),
    ("units", [(TIMER, 700, True), (DISTRIBUTION, 0, True)], {}, {DISTRIBUTION}),
    ("a part", [(TIMER, 0, True), (PART, 0, True)], {}, {TIMER}),
    ("a part, silent", [(TIMER, 700, True), (PART, 0, True)], {}, {PART}),
    ("a whole, silent", [(PART, 700, True), (TIMER, 0, True)], {}, {TIMER}),
    ("a part came once", [(PART, 0, False), (TIMER, 0, True)], {}, {TIMER}),
    ("one of two is in the way", [(COUNTER, 0, True), (PART, 700, True), (TIMER, 0, True)], {}, {COUNTER, PART}),
    ("both are in the way", [(COUNTER, 700, True), (PART, 700, True), (TIMER, 0, True)], {}, {TIMER}),
    ("what is free then", [(TIMER, 700, True), (Family("q_sum", "g"), 0, False), (PART, 0, True)], {},
     {PART, Family("q_sum", "g")}),
)  # fmt: skip


def make(families: list[FamilyAt]) -> list[Candidate]:
    """Make candidates that came in this order."""
    return [Candidate(family, born, NOW - ago, often) for born, (family, ago, often) in enumerate(families, 1)]


def shown(candidates: list[Candidate], owners: Mapping[str, Owner]) -> set[Family]:
    """Return the families that lose no name to another one."""
    families = {each.family for each in candidates}
    return {each for each in families if all(owners.get(name, Owner(each)).family == each for name in each.names)}


class DecisionTests(SynchronousTestCase):
    """Decisions by table."""

    def test_table(self) -> None:
        """Each case, whatever the order in which the candidates are given."""
        for title, families, before, expected in CASES:
            candidates = make(families)
            owners = {name: Owner(family, NOW - ago) for name, (family, ago) in before.items()}
            decision = decide(candidates, owners, NOW)
            self.assertEqual(shown(candidates, decision.owners), expected, title)
            self.assertEqual(decide(candidates[::-1], owners, NOW), decision, title)

    def test_takeover(self) -> None:
        """A takeover is told with its name and both families; it is the owner since then, the first one since ever."""
        counter, gauge = make([(COUNTER, 700, True), (GAUGE, 0, True)])
        first = decide([counter, gauge._replace(updated=counter.updated)], {}, NOW)
        self.assertEqual((first.owners, first.takeovers), ({"q": Owner(COUNTER, FIRST)}, []))
        self.assertEqual(first.rows(), [("q", "q", "c", FIRST)])
        second = decide([counter, gauge], first.owners, NOW)
        self.assertEqual(second.owners, {"q": Owner(GAUGE, NOW)})
        self.assertEqual([(name, loser, winner) for name, loser, winner in second.takeovers], [("q", counter, gauge)])
        self.assertFalse(decide([counter, gauge], second.owners, NOW + 1).is_new())

    def test_one_takeover_for_each_rival(self) -> None:
        """A timer that takes over all its names from a distribution has done that once."""
        candidates = make([(DISTRIBUTION, 700, True), (TIMER, 0, True)])
        self.assertEqual(len(decide(candidates, {}, NOW).takeovers), 1)

    def test_a_name_that_one_wants_is_free(self) -> None:
        """A name loses its owner when others do not want it, an hour after it was taken over at the latest."""
        candidates = make([(GAUGE, 0, True)])
        self.assertEqual(decide(candidates, {"q": Owner(GAUGE, NOW - OLD)}, NOW).freed, ["q"])
        self.assertEqual(decide(candidates, {"q": Owner(COUNTER, FIRST)}, NOW).freed, ["q"])
        lately = {"q": Owner(GAUGE, NOW - 1)}
        self.assertEqual((decide(candidates, lately, NOW).owners, decide(candidates, lately, NOW).freed), (lately, []))


FAMILIES = [Family(name, kind) for name in ("q", "q_count", "q_count_sum") for kind in ("c", "g", "ms", "h")]
STEPS = st.lists(
    st.tuples(st.sampled_from([1.0, 60.0, 700.0, 1800.0]), st.sets(st.sampled_from(FAMILIES), max_size=4)), max_size=40
)


class World:
    """Families that come and come again, and whom their names belong to."""

    def __init__(self) -> None:
        self.now = NOW
        self.candidates: dict[Family, Candidate] = {}
        self.owners: Mapping[str, Owner] = {}

    def come(self, families: set[Family]) -> None:
        """Have something come for these families, in one commit."""
        for family in sorted(families):
            known = self.candidates.get(family)
            born, often = (len(self.candidates), False) if known is None else (known.born, True)
            self.candidates[family] = Candidate(family, born, self.now, often)

    def look(self) -> Decision:
        """Decide, and keep the decision."""
        decision = decide(list(self.candidates.values()), self.owners, self.now)
        self.owners = decision.owners
        return decision


class AnyWorldTests(SynchronousTestCase):
    """Whatever comes, and whenever it is looked at."""

    @given(STEPS)
    def test_invariants(self, steps: list[tuple[float, set[Family]]]) -> None:
        """Each name has one owner, and changes hands once an hour at most; some family of each conflict is shown."""
        world = World()
        changed: dict[str, float] = {}
        for seconds, families in steps:
            world.now += seconds
            world.come(families)
            before = world.owners
            decision = world.look()
            here = shown(list(world.candidates.values()), world.owners)
            names = [name for family in here for name in family.names]
            self.assertEqual(len(names), len(set(names)))
            for family in world.candidates:
                self.assertTrue(family in here or any(set(family.names) & set(other.names) for other in here))
            now_other = {name for name in decision.changed if name in before} | {
                name for name, *_ in decision.takeovers
            }
            for name in now_other:
                self.assertGreaterEqual(world.now - changed.get(name, FIRST), HELD)
                changed[name] = world.now
            self.assertFalse(decide(list(world.candidates.values()), world.owners, world.now).is_new())

    @given(STEPS, st.integers(0, 40))
    def test_recency_wins(self, steps: list[tuple[float, set[Family]]], chosen: int) -> None:
        """A family that alone is sent, again and again, is shown when all names have been held for an hour."""
        world = World()
        for seconds, families in steps:
            world.now += seconds
            world.come(families)
            world.look()
        family = FAMILIES[chosen % len(FAMILIES)]
        for _ in range(int((3 * HELD + SILENCE) / 300) + 3):
            world.now += 300.0
            world.come({family})
            world.look()
        self.assertIn(family, shown(list(world.candidates.values()), world.owners))
