"""When a loss began."""

from __future__ import annotations

from tests.torture.watch import short_since


def test_short_since() -> None:
    """What was missing is on its way, unless it never comes."""
    assert short_since([]) is None
    assert short_since([(1.0, 5.0), (2.0, 0.0), (3.0, 9.0), (4.0, 0.0)]) is None
    assert short_since([(1.0, 0.0), (2.0, 9.0), (3.0, 4.0), (4.0, 12.0), (5.0, 4.0)]) == 2.0
