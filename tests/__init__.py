"""All tests: unit (pure, run by trial and by pytest), functional (real processes) and packaging."""

from __future__ import annotations

import os
import sys

# Container images often forbid it. The services are started some hundred times, and without what Python keeps of a
# compiled module each start of a process compiles all of the package: half of what the tests would cost. It is here,
# before the first import of any size, because pytest compiles hypothesis as it does the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
