"""The members of sets: exact while they are few, estimated when they are many, and in little memory."""

from __future__ import annotations

from math import inf, sqrt

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate import members as members_module
from statsd_tcp.aggregate.members import ERROR, EXACT_MEMBERS, FEWEST_MEMBERS, Members, Sets

FAR = 6 * ERROR
"""An estimate that is further off comes once in 500 million."""

few = st.lists(st.sets(st.text(max_size=8), max_size=40), max_size=5)


def estimated(*parts: Members) -> Members:
    """Return parts put together, each of which is estimated."""
    whole = Members()
    for part in parts:
        part.coarsen()
        whole.merge(part)
    return whole


class MembersTests(SynchronousTestCase):
    """One set."""

    @given(few)
    def test_exact(self, parts: list[set[str]]) -> None:
        """Few members are counted exactly, however they come, and the sets that are put together stay as they are."""
        whole, merged, alone = Members(), Members(), [Members(part) for part in parts]
        for part, one in zip(parts, alone, strict=True):
            whole.add(part)
            merged.merge(one)
        different = len(set[str]().union(*parts))
        self.assertEqual((len(whole), len(merged), merged.exact), (different, different, True))
        self.assertEqual(list(map(len, alone)), list(map(len, parts)))

    @settings(max_examples=15)
    @given(st.integers(0, 60_000), st.integers(0, 1 << 60))
    def test_the_error_is_as_stated(self, number: int, seed: int) -> None:
        """An estimate is about as far from the true number as is said, for few as for many."""
        members = Members(f"{seed}.{each}" for each in range(number))
        members.coarsen()
        self.assertLessEqual(abs(len(members) - number), number * FAR + 1)

    @given(few)
    def test_any_grouping(self, parts: list[set[str]]) -> None:
        """Whatever was estimated before it was put together, the estimate is that of one set with all members."""
        one = Members(set[str]().union(*parts))
        one.coarsen()
        mixed = Members()
        for number, part in enumerate(parts):
            more = Members(part)
            if number % 2:
                more.coarsen()
            mixed.merge(more)
        mixed.coarsen()
        self.assertEqual(len(mixed), len(one))
        self.assertEqual(len(estimated(*map(Members, parts))), len(one))

    @given(few, st.sampled_from([1 << 6, 1 << 10]))
    def test_fewer_registers(self, parts: list[set[str]], size: int) -> None:
        """An estimate with fewer registers is the same, whether members came before or after, or in other estimates."""
        late, mixed, one = Members(), Members(), Members()
        one.coarsen(size)
        for number, part in enumerate(parts):
            one.add(part)
            more = Members(part)
            if number % 2:
                more.coarsen(size)
            late.add(part)
            mixed.merge(more)
        late.coarsen()
        late.coarsen(size)
        mixed.coarsen(size)
        self.assertEqual((late._registers, mixed._registers), (one._registers, one._registers))

    def test_overlaps(self) -> None:
        """A member that comes to several estimates is one."""
        halves = [Members(str(number) for number in part) for part in (range(20_000), range(10_000, 30_000))]
        self.assertLess(abs(len(estimated(*halves)) / 30_000 - 1), FAR)


class SetsTests(SynchronousTestCase):
    """All sets of a flush."""

    def test_limit_of_one(self) -> None:
        """Up to the limit a set is exact; with more it is estimated, counted once, and takes no more memory."""
        sets = Sets()
        many = [str(number) for number in range(EXACT_MEMBERS)]
        sets.add({"s": many, "t": many[:5]})
        self.assertEqual((sets.counts(), sets.approximated), ({"s": EXACT_MEMBERS, "t": 5}, 0))
        for round_ in range(3):
            sets.add({"s": [f"{round_} {each}" for each in many]})
        self.assertEqual((sets.approximated, sets.members["s"].held, sets.members["t"].exact), (1, 0, True))
        self.assertLess(abs(sets.counts()["s"] / (4 * EXACT_MEMBERS) - 1), FAR)

    def test_limit_of_all(self) -> None:
        """When all together have very many, each may only have few."""
        self.patch(members_module, "EXACT_IN_ALL", 1000)
        sets = Sets()
        for number in range(20):
            sets.add({f"s{number}": [str(each) for each in range(300)]})
        self.assertEqual([each.exact for each in sets.members.values()], [True] * 4 + [False] * 16)
        self.assertEqual(sum(each.held for each in sets.members.values()), 1200)

    def test_limit_of_the_fewest(self) -> None:
        """Beyond another limit what is kept of each further set does not grow with its members."""
        self.patch(members_module, "EXACT_IN_ALL", 100)
        self.patch(members_module, "FEWEST_IN_ALL", 200)
        sets = Sets()
        for number in range(50):
            sets.add({f"s{number}": [str(each) for each in range(20)], f"t{number}": ["a", "b", "c"]})
        held = sum(each.held for each in sets.members.values())
        self.assertLessEqual(held, 200 + 20 + 50 * FEWEST_MEMBERS)
        self.assertEqual({f"t{number}": 3 for number in range(50)}.items() - sets.counts().items(), set())
        self.assertEqual(sets.approximated, sum(not each.exact for each in sets.members.values()))

    def test_limit_of_estimates(self) -> None:
        """When very many sets are estimated, the further ones have fewer registers, and are about right."""
        self.patch(members_module, "SIZES", {1 << 14: 2, 1 << 10: 3, 1 << 6: inf})
        sets = Sets()
        many = [str(number) for number in range(2 * EXACT_MEMBERS)]
        for number in range(8):
            sets.add({f"s{number}": many})
        self.assertEqual(
            [each.registers for each in sets.members.values()], [1 << 14] * 2 + [1 << 10] * 3 + [1 << 6] * 3
        )
        for each in sets.members.values():
            self.assertLess(abs(len(each) / len(many) - 1), 6 * 1.04 / sqrt(each.registers))
        self.assertEqual(sets.approximated, 8)
