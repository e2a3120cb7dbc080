"""A target for the tests of what runs targets: some inputs fail, some end their process."""

from __future__ import annotations

import os
import random
from typing import Final

from tests.fuzz.target import Target

__all__ = ["FAILS", "KILLS", "TARGET"]

FAILS: Final = 2
KILLS: Final = 4

_GIVEN: Final = {random.Random(seed).random(): seed for seed in range(8)}


def _make(source: random.Random) -> int:
    return _GIVEN[source.random()]


def _check(seed: int) -> None:
    if seed == FAILS:
        raise AssertionError("it is two")
    if seed == KILLS:
        os.abort()


TARGET: Final = Target("deadly", _make, _check)
