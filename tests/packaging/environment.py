"""Virtual environments to install the wheel in, and how to run things in them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution, version
from pathlib import Path

__all__ = ["Environment", "build_wheel", "clean_environ", "index_reachable", "make_environment"]

INSTALL_SECONDS = 600
"""A slow package index is allowed that long for everything that the wheel depends on, and a busy machine for the
rest."""

_BORROWED = "borrowed.pth"

_PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE", "TMPDIR")


def clean_environ(home: Path, **extra: str) -> dict[str, str]:
    """Return an environment with nothing of the developer's: no PYTHONPATH, state folder or coverage."""
    environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**environ, "HOME": str(home), **extra}


def build_wheel(source: Path, **environ: str) -> Path:
    """Build the wheel of a copy of the checkout and give its path."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(source)]
    built = subprocess.run(
        command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False, env={**os.environ, **environ}
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (source / "dist").glob("*.whl")
    return path


class Environment:
    """A virtual environment."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def program(self, name: str) -> str:
        """Return the path of a program of this environment."""
        return str(self.root / "bin" / name)

    def run(
        self, *arguments: str, cwd: Path = Path("/"), environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment to its end, by default in /, and give what it printed."""
        return subprocess.run(
            [self.program(arguments[0]), *arguments[1:]],
            cwd=cwd,
            env=clean_environ(self.root) if environ is None else dict(environ),
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )

    def pip(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the tests' pip for this environment with the caller's own settings: its index may be a mirror."""
        return _run_pip(["--python", self.program("python"), *map(str, arguments)])

    def borrow(self) -> None:
        """Let this environment use the packages and programs of the tests' own, but not the checkout."""
        purelib = self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout
        # Path files are only read in the environment's own folder: the checkout's there has no effect here.
        Path(purelib.strip(), _BORROWED).write_text(sysconfig.get_path("purelib") + "\n")
        for entry in distribution("twisted").entry_points.select(group="console_scripts"):
            script = Path(self.program(entry.name))
            imports = f"from {entry.module} import {entry.attr.split('.')[0]}"
            script.write_text(f"#!{self.program('python')}\n{imports}\n{entry.attr}()\n")
            script.chmod(0o755)


def make_environment(root: Path) -> Environment:
    """Make an environment with nothing in it."""
    venv.create(root, symlinks=True)
    return Environment(root)


def index_reachable(scratch: Path) -> bool:
    """Return whether a package index can be reached, by asking for one small package that is surely there."""
    wanted = f"attrs=={version('attrs')}"
    return _run_pip(["download", "--no-deps", "--no-cache-dir", "-d", str(scratch), wanted]).returncode == 0


def _run_pip(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
