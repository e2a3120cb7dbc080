"""What is made once for all processes of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared import Shared


def test_failed(tmp_path: Path) -> None:
    """A folder that could not be filled is filled by the next who wants it, and not once more."""

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        Shared(tmp_path).folder("it", fail)
    assert list(Shared(tmp_path).folder("it", lambda folder: (folder / "whole").touch()).iterdir()) == [
        tmp_path / "it" / "whole"
    ]
    assert Shared(tmp_path).folder("it", fail) == tmp_path / "it"
