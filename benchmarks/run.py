"""All comparisons, from any folder: ``python benchmarks/run.py [options]``; ``--help`` lists them."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.everything import main

    sys.exit(main(sys.argv[1:]))
