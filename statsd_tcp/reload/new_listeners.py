"""The listeners that the next image wants and this one does not have: bound before anything is given up."""

from __future__ import annotations

from statsd_tcp.reload.rehearsal import RefusedError, Wanted
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.sockets.inherited import same_address
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.supervisor.start_plan import Plan

__all__ = ["bind_wanted"]


def bind_wanted(plan: Plan, wanted: Wanted, made: list[BoundListener]) -> None:
    """Bind what is new; what is bound is in ``made`` at once. Raises `RefusedError`, and `OSError`."""
    have = [listener for listener in (*plan.listeners, plan.http, plan.admin) if listener is not None]
    for endpoint in wanted.streams:
        found = _find(endpoint, have)
        if found is None:
            made.append(bind_listener(endpoint, wanted.workers))
        elif wanted.workers > len(found.sockets) and found.in_groups and not found.can_grow:
            there = len(found.sockets)
            raise RefusedError(
                f"{found.label} has sockets for {there} workers, and this process may not bind more, as after a "
                f"change of user: restart the service, or ask for --workers {there}"
            )
    for service in (wanted.http, wanted.admin):
        if service is not None and _find(service, have) is None:
            # At once, and not when all are bound.
            made += [bind_listener(service, 1)]


def _find(endpoint: Endpoint, listeners: list[BoundListener]) -> BoundListener | None:
    return next((one for one in listeners if same_address(one.endpoint, endpoint)), None)
