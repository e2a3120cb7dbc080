"""The rules and alerts that are shipped: promtool accepts them, and they do what they are for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from statsd_tcp.commands.main import main
from tests.functional.prometheus import PROMTOOL
from tests.transcripts import finished

CASES = Path(__file__).parents[1] / "data" / "prometheus"


@pytest.fixture(name="folder")
def written(tmp_path: Path) -> Path:
    """Return a folder with the files as users get them."""
    if PROMTOOL is None:
        pytest.skip("promtool is not installed")
    assert main(["files", "--out", str(tmp_path)]) == 0
    return tmp_path / "prometheus"


def test_accepted(folder: Path) -> None:
    """Promtool finds no fault in the rules, and each file has some."""
    for path in folder.iterdir():
        ended = finished([str(PROMTOOL), "check", "rules", "--lint=all", "--lint-fatal", str(path)], {})
        assert ended.returncode == 0, ended.stdout
        assert "0 rules found" not in ended.stdout


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_cases(folder: Path, case: str) -> None:
    """In each case the rules give the numbers, and the alerts, that the file has."""
    shutil.copy(CASES / case, folder)
    ended = finished([str(PROMTOOL), "test", "rules", case], {}, folder)
    assert ended.returncode == 0, ended.stdout
