"""One case, in a process of its own: given its specification as JSON, it prints its figures as JSON.

The package that is measured is the one in the folder ``checkout``, whichever one this module belongs to.
"""

import sys
from importlib import import_module
from pathlib import Path

import msgspec


class Specification(msgspec.Struct, frozen=True):
    """A case of `benchmarks.store.cases`, the number of series, and a folder on the disk that is to be measured."""

    checkout: str
    case: str
    series: int
    folder: str


def main(text: str) -> int:
    """Measure and print."""
    spec = msgspec.json.decode(text, type=Specification)
    sys.path.insert(0, spec.checkout)
    package = import_module("statsd_tcp")
    if not Path(package.__path__[0]).resolve().is_relative_to(Path(spec.checkout).resolve()):
        print(f"{spec.checkout} has no package statsd_tcp", file=sys.stderr)
        return 1
    cases = import_module("benchmarks.store.cases")
    print(msgspec.json.encode(cases.CASES[spec.case](spec.series, Path(spec.folder))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
