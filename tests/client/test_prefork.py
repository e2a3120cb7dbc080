"""Processes of multiprocessing and of celery, whose parent has counted, and which end in ways of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.portable.listener import Listener, until
from tests.functional.running import running
from tests.packaging.environment import clean_environ, index_reachable, make_environment
from tests.patience import PATIENCE

CLIENT = Path(__file__).parents[2] / "client"
TASKS = 10

MODULE = """
from celery import Celery
from statsd_tcp_client import StatsClient, processes

# A second may be too short on a busy machine.
processes.EXIT_SECONDS = {patience}
app = Celery("tasks", broker="filesystem://", broker_transport_options={{
    "data_folder_in": "{folder}/queue", "data_folder_out": "{folder}/queue", "control_folder": "{folder}/control"}})
stats = StatsClient("127.0.0.1", {port}, level="stored", interval=60, connect_timeout={patience})
stats.incr("loaded")
# The thread runs in the parent already.
assert stats.flush({patience})

@app.task
def work():
    stats.incr("work")
"""


PROCESSES = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from statsd_tcp_client import StatsClient, processes

# A second may be too short on a busy machine.
processes.EXIT_SECONDS = {patience}
stats = StatsClient("127.0.0.1", {port}, level="stored", interval=60, connect_timeout={patience})

def work(number):
    stats.incr("work")

if __name__ == "__main__":
    stats.incr("loaded")
    assert stats.flush({patience})
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            pool.map(work, range(10), chunksize=1)
            pool.close()
            pool.join()
        process = context.Process(target=work, args=(1,))
        process.start()
        process.join()
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            list(executor.map(work, range(10)))
"""


def test_multiprocessing(tmp_path: Path) -> None:
    """Each process sends what it has counted, however it was started, alone or in a pool that is closed."""
    listener = Listener("stored")
    (tmp_path / "program.py").write_text(PROCESSES.format(port=listener.port, patience=PATIENCE))
    environ = {**clean_environ(tmp_path), "PYTHONPATH": str(CLIENT)}
    command = [sys.executable, "-W", "ignore", str(tmp_path / "program.py")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [listener.total(name) for name in ("work", "loaded")] == [3 * 21, 1]
    listener.close()


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
    (tmp_path / "tasks.py").write_text(MODULE.format(folder=tmp_path, port=listener.port, patience=PATIENCE))
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
