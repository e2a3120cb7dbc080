"""The end of a process for clients whose event loop has ended: what is left is sent by the thread that ends it."""

from __future__ import annotations

import time
from threading import Condition
from typing import Any

from statsd_tcp_client.engine import Engine
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.threads.driver import Driver

__all__ = ["finish"]


def finish(engine: Engine, lock: Any, settings: Settings, timeout: float) -> None:
    """Send what an engine has, for at most this many seconds. Its former connections must not be used any longer."""
    changed = Condition(lock)
    with changed:
        now = time.monotonic()
        engine.begin(now)
        lot = engine.force()
        if not engine.is_settled(lot):
            driver = Driver(engine, changed, settings)
            try:
                driver.run(lambda: engine.is_settled(lot), now + timeout)
            finally:
                driver.close()
        engine.abandon()
