"""Workers of celery, which fork from a parent that has counted, and end in a way of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.portable.listener import Listener, until
from tests.functional.running import running
from tests.packaging.environment import clean_environ, index_reachable, make_environment

CLIENT = Path(__file__).parents[2] / "client"
TASKS = 10

MODULE = """
from celery import Celery
from statsd_tcp_client import StatsClient

app = Celery("tasks", broker="filesystem://", broker_transport_options={{
    "data_folder_in": "{folder}/queue", "data_folder_out": "{folder}/queue", "control_folder": "{folder}/control"}})
stats = StatsClient("127.0.0.1", {port}, level="stored", interval=60, connect_timeout=30)
stats.incr("loaded")
# The thread runs in the parent already.
assert stats.flush(30)

@app.task
def work():
    stats.incr("work")
"""


@pytest.mark.proof
def test_celery(tmp_path: Path) -> None:
    """Each process of a prefork pool sends what it has counted when the pool ends."""
    if not index_reachable(tmp_path / "scratch"):
        pytest.skip("no package index is reachable")
    environment = make_environment(tmp_path / "venv")
    installed = environment.pip("install", "celery>=5.4")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    listener = Listener("stored")
    (tmp_path / "tasks.py").write_text(MODULE.format(folder=tmp_path, port=listener.port))
    environ = {**clean_environ(tmp_path), "PYTHONPATH": str(CLIENT)}
    worker = [environment.program("celery"), "-A", "tasks", "--workdir", str(tmp_path), "worker"]
    log = tmp_path / "log"
    with running([*worker, "--pool=prefork", "--concurrency=2", "--loglevel=INFO"], log, "ready.", environ):
        code = f"import tasks\nfor _ in range({TASKS}): tasks.work.delay()"
        sent = environment.run("python", "-c", code, cwd=tmp_path, environ=environ)
        assert sent.returncode == 0, sent.stderr
        until(lambda: log.read_text().count("succeeded") == TASKS, "all tasks are done")
    assert [listener.total(name) for name in ("work", "loaded")] == [TASKS, 2]
    listener.close()
