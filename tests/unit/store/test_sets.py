"""Sets with very many members, in the totals and in flushes."""

from __future__ import annotations

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.members import ERROR, EXACT_MEMBERS
from tests.unit.store.cases import FlushTestCase, values

MANY = 2 * EXACT_MEMBERS


class ManyMembersTests(FlushTestCase):
    """A set that is estimated."""

    def near(self, found: float) -> None:
        """Compare with the true number, within six times the stated error."""
        self.assertLess(abs(found / MANY - 1), 6 * ERROR)

    def test_across_a_restart(self) -> None:
        """Its number is about right in both, also when another process ends the flush, and it is counted once."""
        store = self.open_with()
        self.at(1)
        self.commit(store, Interval(sets={"s": {str(number) for number in range(MANY // 2 + 1)}, "t": {"a"}}))
        self.assertEqual(store.snapshot.stats.sets_approximated, 1)
        store.close()
        store = self.open_with()
        self.at(2)
        self.commit(store, Interval(sets={"s": {str(number) for number in range(MANY // 2, MANY)}, "t": {"a"}}))
        self.at(11)
        snapshot = self.commit(store, Interval(sets={"s": {"x"}}))
        (result,) = self.results(store)
        self.near(result.sets["s"])
        self.near(values(snapshot.sets)["s"])
        self.assertEqual((result.sets["t"], values(snapshot.sets)["t"]), (1, 1.0))
