"""One measurement of the lines that a server takes; run as a process of its own.

python -m benchmarks.lines.measure SPECIFICATION      prints one line of JSON
"""

import shlex
import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks import measurement
from benchmarks.accept import proc
from benchmarks.accept.measure import wait_until_done
from benchmarks.accept.others import start_for_lines
from benchmarks.accept.servers import LOOP
from benchmarks.lines.servers import OURS, RECEIVE_BUFFER, LineServer, Loop
from benchmarks.lines.workloads import WORKLOADS, Workload
from benchmarks.measurement import answer
from benchmarks.programs import GRACE, PATIENCE, ToolError, compiled, generate, pinned

SENDER = Path(__file__).with_name("datagrams.c")
CONNECTIONS = 4
LINE_SIZE = len("bench.c000000:1|c\n")
"""Bytes of a counter's line, as the clients send it."""
WARM_UP = 0.3
"""Seconds of the same before the clock starts."""


class Specification(measurement.Specification, frozen=True, kw_only=True):
    """Also the bytes of buffer for UDP that a server asks for."""

    buffer: int = RECEIVE_BUFFER


class Sent(msgspec.Struct, frozen=True):
    """What the clients sent."""

    lines: int
    elapsed_s: float
    cpu_s: float


class Measured(msgspec.Struct, frozen=True):
    """One measurement: lines sent and taken, seconds, and seconds of CPU of the server and of its other processes."""

    sent: int
    taken: int
    elapsed_s: float
    server_s: float
    others_s: float
    waited_s: float


def send(workload: Workload, server: LineServer, seconds: float, spec: Specification) -> Sent:
    """Let the clients send."""
    if workload.transport == "tcp":
        arguments = ["--mode", "kept", "--concurrency", str(CONNECTIONS), *workload.arguments]
        done = generate(server.port, arguments, seconds=seconds, cpu=spec.client_cpu, within=spec.within)
        return Sent(done.lines, done.elapsed_s, done.cpu_s)
    place = ["--path", server.path] if workload.transport == "unixgram" else ["--port", str(server.udp_port)]
    amount = ["--lines", str(workload.lines), "--rate", str(workload.rate), "--seconds", str(seconds)]
    command = [*spec.within, *pinned(spec.client_cpu), str(compiled(SENDER)), *place, *amount, *workload.arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE + GRACE, check=False)
    if run.returncode:
        raise ToolError(f"{shlex.join(command)}: {run.stderr.strip()}")
    return msgspec.json.decode(run.stdout, type=Sent)


def lost(workload: Workload, server: LineServer) -> int:
    """How many lines the kernel has dropped so far because the server's buffer was full."""
    return workload.lines * proc.udp_drops(server.udp_port) if workload.transport == "udp" else 0


def take(workload: Workload, server: LineServer, spec: Specification) -> Measured:
    """One measurement."""
    warm = send(workload, server, WARM_UP, spec)
    wait_until_done(server)
    warm_lost = lost(workload, server)
    before, others_before = proc.usage(server.workers), proc.usage(server.others)
    sent = send(workload, server, spec.seconds, spec)
    wait_until_done(server)
    worker, others = proc.usage(server.workers).since(before), proc.usage(server.others).since(others_before)
    taken = server.lines(warm.lines + sent.lines - lost(workload, server)) - (warm.lines - warm_lost)
    if taken <= 0 or not sent.elapsed_s:
        raise ToolError(f"of {sent.lines} lines the server took {taken}")
    return Measured(
        sent.lines,
        taken,
        sent.elapsed_s,
        worker.on_cpu_ns / 1e9,
        others.on_cpu_ns / 1e9,
        worker.waiting_ns / 1e9,
    )


def start(spec: Specification) -> LineServer:
    """The server, ready."""
    if spec.peer in OURS:
        return OURS[spec.peer](spec.server_cpu, spec.buffer)
    if spec.peer == LOOP:
        return Loop(LINE_SIZE, spec.server_cpu)
    return start_for_lines(spec.peer, spec.places, spec.server_cpu, spec.buffer)


def measure(spec: Specification) -> Measured:
    """Start the server, measure, and clean up."""
    server = start(spec)
    try:
        return take(WORKLOADS[spec.workload], server, spec)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(answer(sys.argv[1], Specification, measure))
