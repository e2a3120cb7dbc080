"""What can't work ends the start: one line on standard error, status 1, in the foreground and as a daemon."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.functional.conftest import ServiceMaker
from tests.functional.processes import MARK, end_all, marked, new_mark
from tests.functional.service import LOOPBACK, environment, options, script
from tests.functional.start_errors import OPTION_ROWS, ROWS, Row, Scene
from tests.functional.waiting import PATIENCE

PROGRAMS = {
    "foreground": ("twistd", "-n", "--pidfile="),
    "daemon": ("twistd", "--pidfile=twistd.pid", "--logfile=twistd.log"),
}


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[dict[str, Scene]]:
    """Give an empty scene for each program."""
    with ExitStack() as stack:
        result = {name: Scene(tmp_path / name, stack) for name in PROGRAMS}
        for scene in result.values():
            scene.folder.mkdir()
        yield result


class Failed(NamedTuple):
    """A start that has failed: its status, and what it wrote to its two outputs."""

    status: int
    printed: str
    error: str


def fail(scene: Scene, program: tuple[str, ...], arguments: list[str], prefix: list[str]) -> Failed:
    """Start the service, and give what came of it; fails if any process is left."""
    mark = new_mark()
    try:
        done = subprocess.run(
            [*prefix, script(program[0]), *program[1:], "statscounter", *arguments],
            cwd=scene.folder,
            env=environment(scene.folder, **{MARK: mark}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert marked(mark) == [], done
        return Failed(done.returncode, done.stdout, done.stderr)
    finally:
        end_all(mark)


def attempt(scene: Scene, program: str, row: Row) -> str:
    """Start the service as a row wants it, and give the line that it ends with."""
    return one_line(fail(scene, PROGRAMS[program], [*_small(scene, row), *row.options], row.prefix))


def one_line(failed: Failed) -> str:
    """Check that it ended with status 1 and one line on standard error, and nothing else; give the line."""
    lines = failed.error.splitlines()
    assert (failed.status, failed.printed, len(lines)) == (1, "", 1), failed
    assert lines[0].startswith("statscounter: ")
    return lines[0]


@pytest.mark.parametrize("make_row", ROWS.values(), ids=ROWS)
def test_start_error(scenes: dict[str, Scene], make_row: Callable[[Scene], Row]) -> None:
    """Whatever prevents the start is told in one line on standard error, and nothing is left running."""
    rows = {name: make_row(scene) for name, scene in scenes.items()}
    with ThreadPoolExecutor() as pool:
        lines = pool.map(lambda name: attempt(scenes[name], name, rows[name]), rows)
        for row, line in zip(rows.values(), lines, strict=True):
            assert [words for words in row.words if words not in line] == [], line


@pytest.mark.parametrize("make_row", OPTION_ROWS.values(), ids=OPTION_ROWS)
def test_wrong_option(scenes: dict[str, Scene], make_row: Callable[[Scene], Row]) -> None:
    """The line about a wrong option names it, or the file that it is in, and what is wrong with it."""
    scene = scenes["foreground"]
    row = make_row(scene)
    line = attempt(scene, "foreground", row)
    assert [words for words in row.words if words not in line] == [], line


@pytest.mark.parametrize("program", PROGRAMS)
def test_second_instance(scenes: dict[str, Scene], start_service: ServiceMaker, program: str) -> None:
    """A state directory in use is refused with the process that has it, and that one goes on."""
    first = start_service()
    line = one_line(fail(scenes[program], PROGRAMS[program], options(first.state), []))
    assert f"--state-dir {first.state} is in use by another instance (pid {first.process.pid})" in line
    assert first.is_ready()


@pytest.mark.parametrize("program", PROGRAMS)
def test_port_of_another_instance(scenes: dict[str, Scene], start_service: ServiceMaker, program: str) -> None:
    """A second instance does not join the first one's group of sockets: the port is in use, by that process."""
    first, scene = start_service(workers=2), scenes[program]
    lines, bare = first.port("lines"), first.port("bare")
    asked = options(scene.state, listen=[f"tcp:{lines}:{LOOPBACK}"])
    assert f"--listen: tcp:{lines} is in use by " in one_line(fail(scene, PROGRAMS[program], asked, []))
    asked = options(scene.state, count=[f"tcp:{bare}:{LOOPBACK}"])
    assert f"--count: tcp:{bare} is in use by " in one_line(fail(scene, PROGRAMS[program], asked, []))
    assert first.is_ready()


def test_nothing_stays_behind(scenes: dict[str, Scene]) -> None:
    """A start that fails at its second listener removes the socket file of the first."""
    scene = scenes["foreground"]
    port = scene.taken(socket.SOCK_STREAM)
    endpoints = [f"unix:{scene.folder.name}-s", f"tcp:{port}:{LOOPBACK}"]
    line = one_line(fail(scene, PROGRAMS["foreground"], options(scene.state, listen=endpoints), []))
    assert f"tcp:{port} is in use" in line
    assert [path.name for path in scene.folder.iterdir() if path.is_socket()] == []


def _small(scene: Scene, row: Row) -> list[str]:
    """Give options that work, without those of the kinds that the row brings itself."""
    kinds = {option.partition("=")[0] for option in row.options}
    if "--config" in kinds:
        return [f"--state-dir={scene.state}"]
    return [option for option in options(scene.state) if option.partition("=")[0] not in kinds]
