"""The verdict itself: what it lets pass, and what it does not."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.functional.metrics import Metrics
from tests.torture.books import Book, Death, Deaths, Kind, Visit, certain_lines, read
from tests.torture.verdict import Account, judge

PAGE = """\
# TYPE statscounter_connections_total counter
statscounter_connections_total{{listener="bare"}} {bare}
statscounter_connections_total{{listener="lines"}} {lines}
# TYPE statscounter_connections_closed_total counter
statscounter_connections_closed_total{{listener="bare",reason="counted"}} {bare}
statscounter_connections_closed_total{{listener="lines",reason="eof"}} {lines}
# TYPE statscounter_lines_total counter
statscounter_lines_total{{listener="lines"}} {all}
# TYPE at_once counter
at_once {at_once}
# TYPE late counter
late {late}
# TYPE kept counter
kept {kept}
# TYPE statscounter_ledgers_set_aside gauge
statscounter_ledgers_set_aside 0
"""


def visit(kind: Kind, began: float, ended: float, error: str = "", *, connected: bool = True, lines: int = 1) -> Visit:
    """Make a visit that sends its lines in equal distances."""
    number = 0 if kind == "bare" else lines
    step = (ended - began) / (number + 1)
    return Visit(kind, began, ended, connected, error, [began + step * (place + 1) for place in range(number)])


class VerdictTests(SynchronousTestCase):
    """Four visits, one of each kind, and what a service says about them."""

    def setUp(self) -> None:
        """Let them come."""
        self.visits = list[Visit]()
        self.visits.append(visit("bare", 1, 2))
        self.visits.append(visit("at_once", 1, 2))
        self.visits.append(visit("late", 1, 2))
        self.visits.append(visit("kept", 1, 10, lines=8))

    def wrong(self, deaths: list[Death], **said: int) -> list[str]:
        """Return the rows that are wrong when the service says that."""
        numbers = {"bare": 1, "lines": 3, "at_once": 1, "late": 1, "kept": 8, **said}
        numbers["all"] = numbers["at_once"] + numbers["late"] + numbers["kept"]
        backend = {kind: float(numbers[kind]) for kind in ("at_once", "late", "kept")}
        metrics = Metrics(PAGE.format(**numbers))
        return [row.what for row in judge(Account(self.visits, Deaths(deaths)), metrics, backend) if not row.right]

    def test_exact(self) -> None:
        """The right numbers are right."""
        self.assertEqual([], self.wrong([]))

    def test_one_off(self) -> None:
        """Without a death every number that is one too small or one too large is wrong."""
        for name, right in (("bare", 1), ("lines", 3), ("at_once", 1), ("late", 1), ("kept", 8)):
            for difference in (-1, 1):
                self.assertNotEqual([], self.wrong([], **{name: right + difference}), name)

    def test_hurt_for_no_reason(self) -> None:
        """Who was cut off or refused without a death is a fault, whatever was counted."""
        self.visits.append(visit("at_once", 5, 6, "ConnectionResetError"))
        self.assertEqual(["clients hurt without a death"], self.wrong([], lines=4, at_once=2))

    def test_a_worker_s_death(self) -> None:
        """A worker's death may cost what was open in it, one connection in hand, and nothing that came elsewhere."""
        death = Death("kill", 1.5, 1.6)
        self.assertEqual([], self.wrong([death], bare=0, at_once=0, late=0))
        self.assertEqual(["connections of lines"], self.wrong([death], lines=1))
        # The kept one went on sending: it was with another worker.
        self.assertEqual(["lines kept"], self.wrong([death], kept=7))
        self.assertEqual(["lines at_once"], self.wrong([death], at_once=2))

    def test_let_go(self) -> None:
        """Who was seen to be let go without a death must be counted as that."""
        self.visits.append(visit("silent", 1, 2)._replace(let_go=True, sent=()))
        self.assertEqual(["connections let go for others"], self.wrong([], lines=4))
        self.assertEqual([], self.wrong([Death("kill", 1.5, 1.6)], lines=4))

    def test_a_book(self) -> None:
        """What is read from a book is what was written."""
        self.visits.append(visit("silent", 5, 6, "ConnectionResetError")._replace(let_go=True))
        with TemporaryDirectory() as folder:
            book = Book(Path(folder) / "book")
            for one in self.visits:
                book.add(one)
            book.close()
            found = [one._replace(sent=list(one.sent)) for one in read(Path(folder) / "book")]
        self.assertEqual(self.visits, found)

    def test_deaths_of_many(self) -> None:
        """Of many deaths those are found that a visit overlaps, also a long one that began early."""
        deaths = [Death("hold", 0, 50), *(Death("kill", when, when + 0.1) for when in range(100))]
        found = Deaths(deaths).touching(visit("late", 48.5, 50.2))
        self.assertEqual([0, 49, 50], [death.began for death in found])

    def test_a_supervisor_s_death(self) -> None:
        """A supervisor's death may cost what was open and what comes before the next start; nothing counts twice."""
        death = Death("kill", 1.5, 3.0, whole=True)
        self.visits.append(visit("bare", 2, 2.1, "ConnectionRefusedError", connected=False))
        self.assertEqual([], self.wrong([death], bare=0, lines=0, at_once=0, late=0, kept=0))
        self.assertNotEqual([], self.wrong([death], kept=9))

    def test_lines_well_before_a_death(self) -> None:
        """What a connection sent seconds before it was cut off was read, and counts."""
        cut = visit("kept", 0, 10, "BrokenPipeError", lines=9)
        self.assertEqual(7, certain_lines(cut, [Death("kill", 9.5, 9.6)]))
        self.assertEqual(9, certain_lines(cut, []))
