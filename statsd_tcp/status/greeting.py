"""What the service says at its start and after a reload: what listens where, what goes where, one command to try it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from twisted.logger import Logger

from statsd_tcp import __version__, native
from statsd_tcp.settings.long_times import long_times
from statsd_tcp.settings.settings import Settings
from statsd_tcp.sockets.binding import receive_buffer
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.words import span

__all__ = ["announce", "greeting"]

_log = Logger()


def announce(plan: Plan, what: str = "has started") -> None:
    """Log the greeting, line by line; ``what`` says what the service has done."""
    for line in greeting(plan, what):
        _log.info("{line}", line=line)
    for warning in plan.settings.mapping.warnings if plan.settings.mapping is not None else ():
        _log.warn("{warning}", warning=warning)
    for name, words in long_times(plan.settings):
        _log.warn("--{name}: {words}", name=name, words=words)


def greeting(plan: Plan, what: str = "has started") -> list[str]:
    """Write what an operator wants to know first."""
    lines = [f"statscounter {__version__} {what}"]
    lines += [_listener_line(listener) for listener in plan.listeners]
    if plan.http is not None:
        lines.append(f"  metrics, status   http://{plan.http.addresses[0]}/")
    if plan.admin is not None:
        lines.append(f"  console           tcp {' '.join(plan.admin.addresses)}")
    lines.append(f"  workers           {plan.workers} ({plan.workers_reason}){_placement(plan)}")
    lines.append(f"  hot path          {native.use(os.environ)}")
    lines.append(f"  state             {plan.state_dir}")
    if plan.settings.source:
        lines.append(f"  configuration     {plan.settings.source}")
    if (mapping := plan.settings.mapping) is not None:
        lines.append(f"  mapping           {mapping.source}, {len(mapping.rules)} rules")
    lines += _output_lines(plan.settings)
    lines.append(f"  limits            {_limits(plan)}")
    if command := _try_it(plan):
        lines.append(f"  try               {command}")
    return lines


def _listener_line(listener: BoundListener) -> str:
    what = "bare connections" if listener.endpoint.count_only else "StatsD lines"
    name = f" as {listener.label}" if listener.endpoint.name else ""
    return f"  {what:<17} {listener.endpoint.scheme} {' '.join(listener.addresses)}{name}{_short_buffer(listener)}"


def _output_lines(settings: Settings) -> list[str]:
    labels = [one.label for one in settings.graphite + settings.output]
    labels += ["console"] if settings.console is not None else []
    lines = [f"  output            {label}, every {span(settings.flush_interval)}" for label in labels]
    lines += [f"  output            {one.label}, every {span(one.every)}" for one in settings.remote_write]
    return lines + [f"  output            {target.label}, lines as they come" for target in settings.repeat]


def _placement(plan: Plan) -> str:
    pinned = f", on CPU {', '.join(map(str, plan.cpus))}" if plan.settings.pin else ""
    return pinned + (", each for what its CPU receives" if plan.settings.steer else "")


def _short_buffer(listener: BoundListener) -> str:
    """Return a note that the kernel gave a smaller receive buffer than requested, if so."""
    wanted, given = listener.endpoint.rcvbuf, receive_buffer(listener.sockets[0][0]) if listener.endpoint.rcvbuf else 0
    if given >= wanted:
        return ""
    return f" (a receive buffer of {given} instead of {wanted} bytes: sysctl net.core.rmem_max allows no more)"


def _limits(plan: Plan) -> str:
    return f"{plan.connections} open connections per worker, {plan.backlog} waiting in each accept queue"


def _try_it(plan: Plan) -> str:
    """Return a command that sends connections and compares what was counted."""
    if plan.http is None:
        return ""
    found = shutil.which("statscounter") or str(Path(sys.executable).with_name("statscounter"))
    command = "statscounter" if shutil.which("statscounter") else found
    plain = [one for one in plan.listeners if one.endpoint.scheme == "tcp" and one.endpoint.proxy is None]
    counting = [one for one in plain if one.endpoint.count_only]
    lines = [one for one in plain if not one.endpoint.count_only]
    if not counting and not lines:
        return ""
    target = (counting or lines)[0]
    mode = "connect" if counting else "line"
    host = target.endpoint.interface or "127.0.0.1"
    host = "127.0.0.1" if host == "0.0.0.0" else host
    written = f"[{host}]" if ":" in host else host
    return f"{command} load --mode {mode} --target tcp:{written}:{target.port} --verify http://{plan.http.addresses[0]}"
