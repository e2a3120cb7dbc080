"""The guard: fails when a piece of the hot path needs more instructions than was recorded."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.guard.counting import CountError, UnavailableError, count_all, interpreter

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.02
"""Ten times what counts in a row differ by. Another patch release of Python, or another C library, can cost more: then
the code of the baseline has to be counted there first.
"""

Counts = dict[str, float]


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_argument("--record", action="store_true", help="make what is counted the baseline of this interpreter")
    options.add_argument("--times", type=int, default=1, metavar="N", help="count N times, and show the spread")
    options.add_argument("--complete", action="store_true", help="fail where nothing can be counted")


def spread(counts: list[Counts]) -> list[str]:
    """How far the figures of several counts lie apart."""
    lines = []
    for piece in counts[0]:
        values = [one[piece] for one in counts]
        lines.append(f"{piece:10} {min(values):12,.1f} to {max(values):12,.1f}  {max(values) / min(values) - 1:.3%}")
    return lines


def compare(counts: Counts, baseline: Counts) -> tuple[list[str], list[str]]:
    """One line for each piece, and one for each that is dearer than it may be, or not in the baseline."""
    lines, faults = [], []
    for piece, value in counts.items():
        known = baseline.get(piece)
        if known is None:
            faults.append(f"{piece} is not in the baseline: record it")
            continue
        change = value / known - 1
        lines.append(f"{piece:10} {value:12,.1f} instructions, recorded {known:12,.1f}  {change:+.1%}")
        if change > TOLERANCE:
            faults.append(f"{piece} needs {change:.1%} more instructions than recorded, {TOLERANCE:.0%} are allowed")
    lines += [f"{piece:10} was not counted: the parts in C were not built" for piece in baseline.keys() - counts.keys()]
    return lines, faults


def record(baselines: dict[str, Counts], name: str, counts: Counts) -> None:
    """Write the baseline."""
    baselines[name] = counts
    BASELINE.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n")


def run(arguments: argparse.Namespace) -> int:
    """Count, and compare or record; where nothing can be counted the status is 0 unless that is a failure."""
    try:
        counts = [count_all() for _ in range(max(1, arguments.times))]
    except UnavailableError as error:
        print(f"The hot path is not guarded here: {error}", file=sys.stderr if arguments.complete else sys.stdout)
        return 1 if arguments.complete else 0
    except CountError as error:
        print(error, file=sys.stderr)
        return 1
    if len(counts) > 1:
        print("\n".join(spread(counts)))
    name = interpreter()
    baselines: dict[str, Counts] = json.loads(BASELINE.read_text())
    if arguments.record:
        record(baselines, name, counts[0])
        return 0
    if name not in baselines:
        print(f"The hot path is not guarded here: no baseline for {name}. To record it: make guard ARGS=--record, or")
        print(f'  "{name}": {json.dumps(counts[0])}')
        return 0
    lines, faults = compare(counts[0], baselines[name])
    print("\n".join(lines))
    if faults:
        print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0
