"""Opinions on limits that are no sysctl settings: the card's queues, and the open files of a process."""

from __future__ import annotations

import re
from collections.abc import Callable

from statsd_tcp.doctor.audit.opinion import Grade, Opinion
from statsd_tcp.doctor.goal import Goal, descriptors, softirq_processors

__all__ = ["COMMANDS"]


def queues(_: str, goal: Goal) -> Opinion:
    """Judge a number of queues of a network card."""
    need, source = softirq_processors(goal), "scaling.rst: RSS"
    if need.value > 1:
        return Opinion(Grade.RIGHT, f"at this rate {need.value} processors must receive ({need.formula})", source)
    why = "one queue takes this rate: the best number is the smallest that does not overflow; -L resets the link"
    return Opinion(Grade.IRRELEVANT, f"{why} ({need.formula})", source)


def open_files(value: str, goal: Goal) -> Opinion:
    """Judge a process's limit of open files."""
    need, source = descriptors(goal), "getrlimit(2): RLIMIT_NOFILE"
    if not value.isdigit() or int(value) >= need.value:
        return Opinion(Grade.RIGHT, f"a worker needs {need.value:,} ({need.formula})", source)
    return Opinion(Grade.HARMFUL, f"too low: a worker needs {need.value:,} ({need.formula})", source)


_QUEUES = re.compile(r"\bethtool\s+(?:-L|--set-channels)\s+\S+\s+\w+\s+(?P<value>\d{1,20})")
_OPEN_FILES = re.compile(r"\b(?:ulimit\s+-[HS]*n\s+|LimitNOFILE=(?:\d+:)?)(?P<value>\d{1,20}|unlimited|infinity)\b")

COMMANDS: tuple[tuple[re.Pattern[str], Callable[[str, Goal], Opinion]], ...] = (
    (_QUEUES, queues),
    (_OPEN_FILES, open_files),
)
"""What a line says that sets such a limit, with the value, and who judges that."""
