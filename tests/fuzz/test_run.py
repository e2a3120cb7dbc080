"""What runs the targets: an input that ends its process is named, and the sanitizers are really there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import sanitized
from tests.fuzz.child import Request
from tests.fuzz.deadly import FAILS, KILLS
from tests.fuzz.run import prepare
from tests.fuzz.turn import Row, Turn


def test_what_fails(capfd: pytest.CaptureFixture[str]) -> None:
    """Inputs that fail, and those that end the process, are printed with their seeds; those behind them are tried."""
    said: list[str] = []
    row = Turn(Request("deadly", 1, 6, 60.0, ""), os.environ, list, said.append).run()
    assert row[:3] == ("deadly", 6, 2)
    assert f"FAILED: deadly, seed {FAILS}: AssertionError('it is two')" in capfd.readouterr().err
    assert len(said) == 1
    assert said[0].startswith(f"FAILED: deadly, seed {KILLS}: its process ended with -6\n")
    assert f'--target deadly --seed {KILLS} --inputs 1"' in said[0]


def test_command() -> None:
    """A run prints its seed, its progress and a table; one input is enough."""
    command = [sys.executable, "-m", "tests.fuzz.run", "--plain", "--inputs=1", "--seed=3", "--target=rings"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Seed 3, " in done.stdout
    assert done.stdout.splitlines()[-1].split()[::3] == ["rings", "0"]


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where there is no compiler that is said, and the targets run without sanitizers."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prepare(tmp_path)[0] == ""
    assert capfd.readouterr().out == "Without sanitizers: there is no gcc.\n"


def with_sanitizers(tmp_path: Path, sources: Path, name: str) -> tuple[Row, str]:
    """Run a target shortly; return what came of it, and what was said."""
    said: list[str] = []
    try:
        environ = sanitized.environment(os.environ)
        folder = tmp_path / "parts"
        folder.mkdir()
        sanitized.compile_parts(folder, sources)
    except sanitized.MissingError as missing:
        pytest.skip(str(missing))
    return Turn(Request(name, 0, 25, 60.0, "", str(folder)), environ, list, said.append).run(), "".join(said)


@pytest.mark.proof
@pytest.mark.parametrize("name", ["lines", "chunks", "rings", "datagrams"])
def test_under_sanitizers(tmp_path: Path, name: str) -> None:
    """The parts in C do nothing that the sanitizers object to."""
    row, said = with_sanitizers(tmp_path, sanitized.SOURCES, name)
    assert row[:3] == (name, 25, 0), said


@pytest.mark.proof
def test_sanitizers_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A byte that is written behind a buffer ends the process, and the input is named."""
    sources = tmp_path / "sources"
    right, wrong = "PyMem_Malloc(entry.size ? entry.size : 1)", "PyMem_Malloc(entry.size - 1)"
    for room, part in sanitized.PARTS.items():
        (sources / room).mkdir(parents=True)
        for header in (sanitized.SOURCES / room).glob("*.h"):
            shutil.copy(header, sources / room)
        text = (sanitized.SOURCES / room / f"{part}.c").read_text()
        assert part != "_sums" or right in text
        (sources / room / f"{part}.c").write_text(text.replace(right, wrong))
    row, said = with_sanitizers(tmp_path, sources, "lines")
    assert row.failures > 0
    assert "FAILED: lines, seed " in said
    assert "heap-buffer-overflow" in capfd.readouterr().err
