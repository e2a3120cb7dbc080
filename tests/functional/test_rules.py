"""The rules, the alerts and the dashboard that are shipped: the programs that they are for accept them.

The rules do what they are for: by promtool with written histories, and by a real Prometheus with real nodes.
"""

from __future__ import annotations

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from statsd_tcp.commands.main import main
from statsd_tcp.files.shipped import shipped
from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.prometheus import PROMTOOL
from tests.functional.receivers import VMALERT, Engine, need, vmalert
from tests.functional.service import DATAGRAMS, LINES
from tests.functional.test_fleet import hand_over, reload
from tests.functional.waiting import until
from tests.ports import free_port
from tests.promql import expressions, faults, recorded, shown
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
    """Promtool finds no fault in the rules, nor does vmalert, and each file has some."""
    for path in folder.iterdir():
        ended = finished([str(PROMTOOL), "check", "rules", "--lint=all", "--lint-fatal", str(path)], {})
        assert ended.returncode == 0, ended.stdout
        assert "0 rules found" not in ended.stdout
        if VMALERT:
            ended = finished([VMALERT, "-dryRun", f"-rule={path}"], {})
            assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_cases(folder: Path, case: str) -> None:
    """In each case the rules give the numbers, and the alerts, that the file has."""
    shutil.copy(CASES / case, folder)
    ended = finished([str(PROMTOOL), "test", "rules", case], {}, folder)
    assert ended.returncode == 0, ended.stdout


def test_all_is_there(start_service: ServiceMaker) -> None:
    """Every metric, and every label, of the rules, the alerts and the dashboard is in what a service shows."""
    outputs = [f"--graphite=tcp:127.0.0.1:{free_port()}", f"--remote-write=http://127.0.0.1:{free_port()}/write"]
    service = start_service(listen=[LINES, DATAGRAMS], more=outputs)
    known = recorded(shown(service.metrics().samples()))
    assert {found: faults(found, known) for found in expressions() if faults(found, known)} == {}


def test_engines_accept(engine: Engine) -> None:
    """Every expression of the rules, the alerts and the dashboard can be asked of an engine."""
    for expression in expressions():
        try:
            engine.values(expression)
        except OSError as error:
            pytest.fail(f"{expression}: {error}")


@pytest.mark.parametrize("name", ["prometheus", pytest.param("victoria-metrics", marks=pytest.mark.proof)])
def test_real_nodes(start_service: ServiceMaker, tmp_path: Path, name: str) -> None:
    """With the rules an engine has the sum of two nodes, still after one was killed, and not after it was retired.

    The rules are evaluated each second, because a test cannot wait for minutes.
    """
    need(name)
    rules = tmp_path / "rules.yml"
    rules.write_text(re.sub("interval: 1[hm]", "interval: 1s", shipped()["prometheus/rules.yml"]))
    engine = Engine(tmp_path / "engine", name)
    engine.configuration = f"rule_files: ['{rules}']\n"
    total = 'listener:statscounter_connections_total:sum{listener="lines"}'
    with engine, vmalert(engine, rules) if name == "victoria-metrics" else nullcontext():
        write = f"--remote-write={engine.url}:every=1:name=p"
        nodes = [start_service(more=[write, f"--node={node}"]) for node in "ab"]
        for service, number in zip(nodes, (5, 7), strict=True):
            for _ in range(number):
                half_close(service.port("lines"), b"hits:1|c\n")
        until(lambda: engine.value(total) == 12, "the sum is there")
        until(lambda: engine.value("statscounter:nodes:count") == 2, "both nodes are known")
        nodes[0].kill()
        nodes[0].wait_ended()
        half_close(nodes[1].port("lines"), b"hits:1|c\n")
        until(lambda: engine.value(total) == 13, "the sum goes on")
        assert engine.value("statscounter:nodes:count") == 2
        until(lambda: engine.value("time() - statscounter:exact_until") > 3, "it is exact up to the death of one")
        assert hand_over(nodes[1], "retire", nodes[0], "--without-journals").returncode == 0
        reload(nodes[1])
        until(lambda: engine.value(total) == 8, "the node has left the sum")
        until(lambda: engine.value("statscounter:nodes:count") == 1, "it is no longer known")
        until(lambda: engine.value("time() - statscounter:exact_until") < 10, "it holds nothing up")
        nodes[1].stop()
