"""The tables of docs/conformance.md, made of the cases: ``python -m tests.conformance.tables`` writes them there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.conformance.case import Case
from tests.conformance.origins import ORIGINS
from tests.conformance.reasons import REASONS

__all__ = ["PAGE", "rewritten"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"

_BEGIN: Final = "<!-- made of the cases by python -m tests.conformance.tables -->\n"
_END: Final = "<!-- end -->\n"


def rewritten(text: str) -> str:
    """Return a page with its tables made again."""
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n{_by_origin()}\n{_by_reason()}\n{_END}{after}"


def _anchor(heading: str) -> str:
    """Return what a link to a heading ends in."""
    return heading.lower().replace(",", "").replace(" ", "-")


def _by_origin() -> str:
    rows = [_row(origin.name, origin.cases) for origin in ORIGINS]
    rows.append(_row("all", [case for origin in ORIGINS for case in origin.cases]))
    return "".join(["| origin | cases | same | different |\n| --- | --- | --- | --- |\n", *rows])


def _row(name: str, cases: Iterable[Case]) -> str:
    counted = Counter(case.reason for case in cases)
    same = counted.pop("", 0)
    listed = ", ".join(f"{reason} {number}" for reason, number in counted.most_common())
    different = counted.total()
    return f"| {name} | {same + different} | {same} | {different}{': ' if listed else ''}{listed} |\n"


def _by_reason() -> str:
    head = "| reason | cases | the rule in [the protocol](protocol.md) |\n| --- | --- | --- |\n"
    counted = Counter(case.reason for origin in ORIGINS for case in origin.cases)
    rows = []
    for name, reason in REASONS.items():
        link = f"[{reason.heading}](protocol.md#{_anchor(reason.heading)})"
        rows.append(f"| {name} | {counted[name]} | {link}: {reason.words} |\n")
    return head + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
