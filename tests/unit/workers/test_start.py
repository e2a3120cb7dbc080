"""How a worker process starts: with what it needs only."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.workers.channel import CANNOT_BOOT
from tests.patience import PATIENCE

_START = """
import gc, sys
from statsd_tcp.workers.__main__ import main
status = main()
assert not gc.isenabled()
assert "urllib.request" not in sys.modules
from http.cookiejar import CookieJar
assert not list(CookieJar())
sys.exit(status)
"""


class StartTests(SynchronousTestCase):
    """The imports of a worker."""

    def test_imports(self) -> None:
        """Nothing looks for garbage in its imports, which leave cookies out until they are asked for."""
        done = subprocess.run(
            [sys.executable, "-c", _START], check=False, capture_output=True, text=True, timeout=PATIENCE
        )
        # There is no supervisor.
        self.assertEqual((CANNOT_BOOT, 0), (done.returncode, done.stderr.count("AssertionError")), done.stderr)
