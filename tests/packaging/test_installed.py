"""The installed wheel, run from folders that have nothing to do with the checkout."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from statsd_tcp import __version__
from tests.packaging.environment import Environment, clean_environ, index_reachable, make_environment
from tests.packaging.running import Ports, free_ports, running, service_options

Start = tuple[list[str], dict[str, str]]
"""A command, and what it needs in its environment."""


def _plugin(installed: Environment, options: Sequence[str], checkout: Path) -> Start:
    return [installed.program("twistd"), "-n", "--pidfile=", "statscounter", *options], {}


def _tac(installed: Environment, options: Sequence[str], checkout: Path) -> Start:
    command = [installed.program("twistd"), "--pidfile=", "-ny", str(checkout / "etc" / "statscounter.tac")]
    return command, {"STATSCOUNTER_ARGS": shlex.join(options)}


def _twist(installed: Environment, options: Sequence[str], checkout: Path) -> Start:
    return [installed.program("twist"), "statscounter", *options], {}


@pytest.mark.proof
def test_dependencies(wheel: Path, tmp_path: Path) -> None:
    """What the wheel says it depends on can be installed, fits together, and is enough for the commands."""
    environment = make_environment(tmp_path / "venv")
    installed = environment.pip("install", wheel)
    if installed.returncode and not index_reachable(tmp_path):
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    checked = environment.pip("check")
    assert checked.returncode == 0, checked.stdout
    for command in (
        ("statscounter", "--help"),
        ("statscounter", "doctor", "--help"),
        ("twistd", "statscounter", "--help"),
    ):
        helped = environment.run(*command)
        assert (helped.returncode, helped.stderr) == (0, ""), command


def test_listed(installed: Environment) -> None:
    """Twistd lists the service, from any folder."""
    listed = installed.run("twistd", "--help")
    assert "\n    statscounter " in listed.stdout
    assert listed.stderr == ""


def test_listing_imports_nothing(installed: Environment) -> None:
    """Looking for plugins does not import the package, nor a reactor before --reactor has been read."""
    code = (
        "import sys; from twisted.plugin import IPlugin, getPlugins; "
        "assert 'statscounter' in [getattr(one, 'name', '') for one in getPlugins(IPlugin)]; "
        "assert not {'statsd_tcp', 'twisted.internet.reactor'} & set(sys.modules)"
    )
    found = installed.run("python", "-c", code)
    assert found.returncode == 0, found.stderr


def test_version(installed: Environment) -> None:
    """The console command is there, and tells its version."""
    result = installed.run("statscounter", "--version")
    assert result.returncode == 0, result.stderr
    assert __version__ in result.stdout


@pytest.mark.parametrize("start", [_plugin, _tac, _twist])
def test_runs(
    start: Callable[[Environment, Sequence[str], Path], Start],
    installed: Environment,
    checkout: Path,
    tmp_path: Path,
) -> None:
    """However started, the service counts one connection as one, closes it cleanly, and stops when told."""
    ports: Ports = free_ports()
    command, extra = start(installed, service_options(ports, tmp_path / "state"), checkout)
    with running(command, ports, clean_environ(tmp_path, **extra), tmp_path) as service:
        assert service.connections() == 0
        assert service.connect() == b""
        assert service.connections() == 1
        assert service.stop() in {0, -15}
        assert "Traceback" not in service.log.read_text()


def test_metrics_are_documented(installed: Environment, checkout: Path, tmp_path: Path) -> None:
    """docs/metrics.md has a row with the right labels for every metric of the service, and no other."""
    text = (checkout / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(statscounter_\w+)(?:\{([\w,]+)\})?`", text, re.MULTILINE)
    ports = free_ports()
    command, extra = _plugin(installed, service_options(ports, tmp_path / "state"), checkout)
    with running(command, ports, clean_environ(tmp_path, **extra), tmp_path) as service:
        families = service.families()
    documented = {name: set(filter(None, labels.split(","))) for name, labels in rows}
    assert documented.keys() == families.keys()
    # Of a metric that has no value yet the labels cannot be seen.
    assert families == {name: documented[name] if labels else labels for name, labels in families.items()}


def test_tac_says_what_is_wrong(installed: Environment, checkout: Path, tmp_path: Path) -> None:
    """A wrong option in the tac file's variable costs one line on standard error and status 1."""
    environ = clean_environ(tmp_path, STATSCOUNTER_ARGS="--no-such-option")
    result = installed.run("twistd", "-ny", str(checkout / "etc" / "statscounter.tac"), environ=environ)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert "--no-such-option" in line
