"""The kernel's tables of counters, as text from ``/proc/net``, taken apart into plain numbers.

Everything is found by its name: which names there are differs from kernel to kernel, and an absent counter is not a
counter of 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = [
    "Softnet",
    "conntrack_events",
    "cpu_list",
    "cpu_mask",
    "limits",
    "named_lines",
    "paired_lines",
    "softnet_rows",
    "total",
]

# Columns of /proc/net/softnet_stat (net/core/net-procfs.c). The processor's number came with Linux 5.10.
_PROCESSED, _DROPPED, _SQUEEZED, _CPU = 0, 1, 2, 12


class Softnet(NamedTuple):
    """One processor's part in receiving: packets, and how often it fell behind. 32-bit numbers that wrap."""

    cpu: int
    processed: int
    dropped: int
    squeezed: int


def paired_lines(text: str, wanted: Mapping[str, Sequence[str]] | None = None) -> dict[str, int]:
    """Read ``netstat`` or ``snmp``: a line of names followed by a line of values, both beginning with the group.

    ``TcpExt: SyncookiesSent ListenOverflows`` over ``TcpExt: 0 17`` gives ``{"TcpExt.ListenOverflows": 17, ...}``.
    ``wanted`` are the names to look for, by group; None: all there are.
    """
    found: dict[str, int] = {}
    lines = iter(text.split("\n"))
    for names, values in zip(lines, lines, strict=False):
        group, _, rest = names.partition(":")
        if (wanted is not None and group not in wanted) or not values.startswith(f"{group}:"):
            continue
        row = dict(zip(rest.split(), values.partition(":")[2].split(), strict=False))
        for name in row if wanted is None else wanted[group]:
            if name in row:
                found[f"{group}.{name}"] = int(row[name])
    return found


def named_lines(text: str) -> dict[str, int]:
    """Read ``sockstat``: ``TCP: inuse 1 orphan 0 tw 7`` gives ``{"TCP.inuse": 1, "TCP.orphan": 0, "TCP.tw": 7}``."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        group, _, rest = line.partition(":")
        words = rest.split()
        for name, value in zip(words[::2], words[1::2], strict=False):
            found[f"{group}.{name}"] = int(value)
    return found


def softnet_rows(text: str) -> list[Softnet]:
    """Read ``softnet_stat``: one line of hexadecimal columns for each processor that is online."""
    rows = []
    for index, line in enumerate(text.splitlines()):
        row = [int(word, 16) for word in line.split()]
        cpu = row[_CPU] if len(row) > _CPU else index
        rows.append(Softnet(cpu, row[_PROCESSED], row[_DROPPED], row[_SQUEEZED]))
    return rows


def conntrack_events(text: str) -> dict[str, int]:
    """Add up ``stat/nf_conntrack``: a line of names, then a line of hexadecimal numbers for each processor.

    ``entries`` is the whole table's number in every line and so not added.
    """
    head, *rows = text.splitlines()
    names = head.split()
    found = dict.fromkeys(names, 0)
    for row in rows:
        for name, word in zip(names, row.split(), strict=False):
            found[name] = int(word, 16) if name == "entries" else found[name] + int(word, 16)
    return found


def limits(text: str) -> dict[str, tuple[int | None, int | None]]:
    """Read a process's ``limits``: name -> (soft, hard), None for unlimited."""
    found = {}
    for line in text.splitlines()[1:]:
        name, values = line[:26].strip(), line[26:].split()
        if len(values) > 1:
            found[name] = (_limit(values[0]), _limit(values[1]))
    return found


def _limit(word: str) -> int | None:
    return None if word == "unlimited" else int(word)


def cpu_list(text: str) -> list[int]:
    """Read a list of processors as the kernel writes it: ``0-3,8`` gives ``[0, 1, 2, 3, 8]``."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def cpu_mask(text: str) -> list[int]:
    """Read a mask of processors as the kernel writes it: ``00000001,00000003`` gives ``[0, 1, 32]``."""
    bits = int(text.strip().replace(",", "") or "0", 16)
    return [cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1]


def total(rows: Iterable[Softnet], field: str) -> int:
    """Add up one column over all processors."""
    return sum(int(getattr(row, field)) for row in rows)
