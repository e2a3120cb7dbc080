"""The reactor of these tests, and what each of them must leave behind: nothing.

The plugin ``pytest-twisted`` would install the reactor at the start, and run every test of the project inside it. So
``pyproject.toml`` keeps the plugin out. Its two hooks are imported here, which makes them hooks of this folder alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import pytest_fixture_setup, pytest_pyfunc_call
from twisted.python.failure import Failure

from tests.reactor.leftovers import Leftovers

__all__ = ["leftovers", "pytest_fixture_setup", "pytest_pyfunc_call", "reactor"]


@pytest.fixture(scope="session", autouse=True)
def reactor() -> Iterator[Any]:
    """Return Twisted's own reactor, which runs while a test of this folder waits for it.

    It takes no signals: its handlers would stay in force for later tests of the same process. So it does not notice the
    end of a child that its own ``spawnProcess`` has made.
    """
    from twisted.internet import reactor

    run: Any = reactor.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reactor, "run", partial(run, installSignalHandlers=False))
        # The plugin would have all failures in the process keep their frames for good.
        patch.setattr(Failure, "cleanFailure", Failure.cleanFailure)
        pytest_twisted.init_default_reactor()
    yield reactor
    pytest_twisted.stop_twisted_greenlet()


@pytest_twisted.async_yield_fixture(autouse=True)
async def leftovers(reactor: Any) -> AsyncIterator[Leftovers]:
    """Fail a test that leaves a port, a connection or a timer behind, or of which a failure was only logged."""
    watch = Leftovers(reactor)
    yield watch
    try:
        assert await watch.found() == []
    finally:
        watch.stop()
