"""Packages from npm, installed by ``make system-packages``: no test waits for a registry."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import gettempdir
from unittest import SkipTest

__all__ = ["node_path"]

_USUAL = Path(gettempdir(), "statscounter-npm/node_modules")


def node_path(file: str) -> Path:
    """Find the folder of packages that has a file; raises `SkipTest`."""
    if shutil.which("node") is None:
        raise SkipTest("there is no node: make system-packages")
    given = [Path(place) for place in os.environ.get("NODE_PATH", "").split(os.pathsep) if place]
    for place in [*given, _USUAL]:
        if (place / file).is_file():
            return place
    raise SkipTest(f"no npm package has {file}: make system-packages")
