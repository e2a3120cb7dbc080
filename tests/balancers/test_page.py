"""docs/balancers.md shows the files that were run."""

from __future__ import annotations

from tests.balancers.nodes import EXAMPLES
from tests.functional.service import CHECKOUT


def test_examples() -> None:
    """Each file of docs/examples/balancers is on the page as it is, behind its name."""
    page = (CHECKOUT / "docs/balancers.md").read_text()
    files = sorted(EXAMPLES.iterdir())
    assert files
    for file in files:
        shown = page.partition(f"`docs/examples/balancers/{file.name}`")[2].partition("\n```")[2]
        assert shown.partition("\n")[2].partition("```\n")[0] == file.read_text()
