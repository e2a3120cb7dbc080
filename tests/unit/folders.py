"""Folders for tests that need files: made in the system's place for such things, and gone after the test."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

__all__ = ["make_folder"]


def make_folder(test: SynchronousTestCase) -> Path:
    """Make an empty folder that goes with the test.

    Trial's own ``mktemp`` leaves its folders where pytest was started.
    """
    folder = Path(tempfile.mkdtemp(prefix="statscounter-"))
    test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder
