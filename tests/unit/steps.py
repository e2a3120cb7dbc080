"""How many steps some code takes: bytecodes, which a machine's load does not change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["steps"]


def steps(call: Callable[[], object]) -> int:
    """Return how many bytecodes a call runs, with all that it calls."""
    number = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal number
        frame.f_trace_opcodes = True
        number += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
    return number
