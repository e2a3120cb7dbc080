"""The state folder of a service that runs: closed to others, reached through a link, and with what is not its own."""

from __future__ import annotations

import os
from pathlib import Path

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker

LINE = b"hits:1|c\n"


def modes(folder: Path) -> set[int]:
    """Return the modes of all files of ours below a folder."""
    return {
        path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file() and path.name != "strange.ledger"
    }


def test_closed_to_others(make_service: ServiceMaker) -> None:
    """Files are 600 and folders 700, under any umask and also those from before; a special file is left alone."""
    service = make_service()
    real = service.state.with_name("real")
    (real / "ledgers").mkdir(parents=True)
    for name in ("totals.sqlite", "lock"):
        (real / name).touch(0o644)
    for folder in (real, real / "ledgers"):
        folder.chmod(0o755)
    os.mkfifo(real / "ledgers" / "strange.ledger")
    service.state.symlink_to(real)
    before = os.umask(0)
    try:
        service.start()
    finally:
        os.umask(before)
    half_close(service.port("lines"), LINE)
    service.wait_for(1, "hits")
    assert modes(real) == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (real, real / "ledgers")} == {0o700}
    assert service.log.count("strange.ledger: is a fifo and no file") == 1
    service.stop()
    assert modes(real) == {0o600}
    assert (real / "ledgers" / "strange.ledger").is_fifo()
