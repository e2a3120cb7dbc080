"""The service's own ports: the pages and the console."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.commit.committer import Committer
from statsd_tcp.kernel.host_names import own_names
from statsd_tcp.settings.settings import Settings
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.health import Health
from statsd_tcp.status.report import Report
from statsd_tcp.web.service import WebService
from statsd_tcp.web.site import make_site

__all__ = ["make_console", "make_pages"]


def make_pages(reactor: Any, listener: BoundListener, report: Report, settings: Settings) -> IService:
    """Make what serves the HTTP pages."""
    return WebService(reactor, listener, make_site(reactor, report, settings, own_names()))


def make_console(
    reactor: Any,
    listener: BoundListener,
    committer: Committer,
    timers: TimerRules,
    health: Health,
    report: Report,
    settings: Settings,
) -> IService:
    """Make what serves the management console; ``timers`` are the rules by which it shows timers."""
    from statsd_tcp.console.activity import Activity
    from statsd_tcp.console.dispatch import Dispatch
    from statsd_tcp.console.service_view import ServiceView, StoredFlush
    from statsd_tcp.console.session import ConsoleFactory

    activity = Activity(reactor)
    committer.after_commit.append(activity.committed)
    view = ServiceView(health, report, activity, settings)
    dispatch = Dispatch(StoredFlush(committer, timers), view, reactor.seconds)
    return WebService(reactor, listener, ConsoleFactory(reactor, dispatch))
