"""What cannot work ends the start: one line on standard error, status 1, in the foreground and as a daemon."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.functional.preloaded import Ended, Preloaded
from tests.functional.processes import MARK, end_all, marked, new_mark
from tests.functional.service import LOOPBACK, Service, environment, options, script
from tests.functional.start_errors import OPTION_ROWS, ROWS, Row, Scene
from tests.functional.waiting import PATIENCE

PROGRAMS = {
    "foreground": ("twistd", "-n", "--pidfile="),
    "daemon": ("twistd", "--pidfile=twistd.pid", "--logfile=twistd.log"),
}


@pytest.fixture
def scenes(folder: Path) -> Iterator[dict[str, Scene]]:
    """Return an empty scene for each program, in a folder with a path short enough for a socket."""
    with ExitStack() as stack:
        result = {name: Scene(folder / name, stack) for name in PROGRAMS}
        for scene in result.values():
            scene.folder.mkdir()
        yield result


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """Return twistd with its imports done."""
    with Preloaded(tmp_path_factory.mktemp("preloaded")) as made:
        yield made


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that was there before."""
    folder = tmp_path_factory.mktemp("first")
    service = Service(folder, options(folder / "state", workers=2))
    try:
        yield service.start()
    finally:
        service.end()


def fail(scene: Scene, program: tuple[str, ...], arguments: list[str], prefix: Sequence[str] = ()) -> Ended:
    """Start the service from the beginning, and give what came of it; fails if any process is left."""
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
        return Ended(done.returncode, done.stdout, done.stderr)
    finally:
        end_all(mark)


def attempt(scene: Scene, program: str, row: Row, preloaded: Preloaded) -> str:
    """Start the service as a row wants it, and give the line that it ends with."""
    arguments = [*_small(scene, row), *row.options]
    if row.prefix:
        return one_line(fail(scene, PROGRAMS[program], arguments, row.prefix))
    command = [*PROGRAMS[program], "statscounter", *arguments]
    return one_line(preloaded.run(command, scene.folder, environment(scene.folder)))


def one_line(ended: Ended) -> str:
    """Check that it ended with status 1 and one line on standard error, and nothing else; give the line."""
    lines = ended.error.splitlines()
    assert (ended.status, ended.printed, len(lines)) == (1, "", 1), ended
    assert lines[0].startswith("statscounter: ")
    return lines[0]


@pytest.mark.parametrize("make_row", ROWS.values(), ids=ROWS)
def test_start_error(scenes: dict[str, Scene], preloaded: Preloaded, make_row: Callable[[Scene], Row]) -> None:
    """Whatever prevents the start is told in one line on standard error, and nothing is left running."""
    for program, scene in scenes.items():
        row = make_row(scene)
        line = attempt(scene, program, row, preloaded)
        assert [words for words in row.words if words not in line] == [], line
        if row.prefix:
            # That needs a process of its own: one way to start is enough.
            return


@pytest.mark.parametrize("make_row", OPTION_ROWS.values(), ids=OPTION_ROWS)
def test_wrong_option(scenes: dict[str, Scene], preloaded: Preloaded, make_row: Callable[[Scene], Row]) -> None:
    """The line about a wrong option names it, or the file that it is in, and what is wrong with it."""
    scene = scenes["foreground"]
    row = make_row(scene)
    line = attempt(scene, "foreground", row, preloaded)
    assert [words for words in row.words if words not in line] == [], line


@pytest.mark.parametrize("program", PROGRAMS)
def test_second_instance(scenes: dict[str, Scene], first: Service, program: str) -> None:
    """A state directory in use is refused with the process that has it, and that one goes on."""
    line = one_line(fail(scenes[program], PROGRAMS[program], options(first.state)))
    assert f"--state-dir {first.state} is in use by another instance (pid {first.process.pid})" in line
    assert first.is_ready()


@pytest.mark.parametrize("program", PROGRAMS)
def test_port_of_another_instance(scenes: dict[str, Scene], first: Service, preloaded: Preloaded, program: str) -> None:
    """A second instance does not join the first one's group of sockets: the port is in use, by that process."""
    lines, bare = first.port("lines"), first.port("bare")
    for option, port in (("listen", lines), ("count", bare)):
        row = Row([f"--{option}=tcp:{port}:{LOOPBACK}"], [], [])
        line = attempt(scenes[program], program, row, preloaded)
        assert f"--{option}: tcp:{port} is in use by " in line
    assert first.is_ready()


def test_nothing_stays_behind(scenes: dict[str, Scene]) -> None:
    """A start that fails at its second listener removes the socket file of the first."""
    scene = scenes["foreground"]
    port = scene.taken(socket.SOCK_STREAM)
    endpoints = [f"unix:{scene.folder.name}-s", f"tcp:{port}:{LOOPBACK}"]
    line = one_line(fail(scene, PROGRAMS["foreground"], options(scene.state, listen=endpoints)))
    assert f"tcp:{port} is in use" in line
    assert [path.name for path in scene.folder.iterdir() if path.is_socket()] == []


def _small(scene: Scene, row: Row) -> list[str]:
    """Return options that work, without those of the kinds that the row brings itself."""
    kinds = {option.partition("=")[0] for option in row.options}
    if "--config" in kinds:
        return [f"--state-dir={scene.state}"]
    return [option for option in options(scene.state) if option.partition("=")[0] not in kinds]
