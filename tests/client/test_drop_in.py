"""The client in the place of the package `statsd`: that package's own tests are run against it.

They look at what a client hands to its socket with each call. So here the client sends with each call, instead of
adding up, and to a socket that those tests put there. Names, arguments, sampling, lines and pipelines are the client's.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import statsd_tcp_client
from statsd_tcp_client.names import Pipeline
from statsd_tcp_client.threads.connection import addresses

ELSEWHERE = {
    "test_prepare_udp": "a private method",
    "test_prepare_tcp": "a private method",
    "test_pipeline_packet_size": "there are no datagrams",
    "test_socket_error": "no call uses a socket: see BreakTests in portable/test_threads.py",
    "test_tcp_raises_exception_to_user": "no call raises anything for the network, by design",
    "test_tcp_timeout": "the time-out is the driver's, not the socket's",
    "test_unix_socket_timeout": "the time-out is the driver's, not the socket's",
}
"""Tests that do not fit, and why."""


class _Whole(Pipeline):
    """A pipeline that its client sends as a whole."""

    _client: Any

    def send(self) -> None:
        """Send."""
        if self._stats:
            with_all, self._client._begin = self._client._begin, lambda: None
            super().send()
            self._client._begin = with_all
            self._client._begin()

    def pipeline(self) -> Pipeline:
        """Return one inside."""
        return _Inner(self)


class _Inner(Pipeline):
    """A pipeline inside another one, whose calls become that one's."""


class _AtOnce:
    """What makes a client send with each call."""

    _numbers: Any
    _settings: Any
    _sock: Any

    def _begin(self) -> None:
        pieces = [piece for series in self._numbers.take() for piece in series.pieces()]
        self._send(b"".join(piece.data for piece in pieces))

    def _send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def pipeline(self) -> Pipeline:
        """Return a pipeline."""
        return _Whole(self)  # type: ignore[arg-type]


class _Datagrams(_AtOnce, statsd_tcp_client.StatsClient):
    """What those tests take for a client with datagrams, to the same place as the client's connections."""

    def _send(self, data: bytes) -> None:
        ((_, place),) = addresses(self._settings)
        self._sock.sendto(data.rstrip(b"\n"), place)


class _Tcp(_AtOnce, statsd_tcp_client.TCPStatsClient):
    pass


class _Unix(_AtOnce, statsd_tcp_client.UnixSocketStatsClient):
    pass


def load() -> ModuleType | None:
    """Load the tests of the installed package with the client in its place; None: they are not there."""
    found = importlib.util.find_spec("statsd")
    path = Path(found.origin).with_name("tests.py") if found and found.origin else None
    if path is None or not path.exists():
        return None
    instead = ModuleType("statsd")
    instead.__dict__.update(StatsClient=_Datagrams, TCPStatsClient=_Tcp, UnixSocketStatsClient=_Unix)
    spec = importlib.util.spec_from_file_location("tests_of_statsd", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "statsd", instead)
        spec.loader.exec_module(module)
    return module


TESTS = load()
NAMES = [name for name in vars(TESTS) if name.startswith("test_")] if TESTS else []


@pytest.mark.skipif(TESTS is None, reason="the installed package statsd has no tests")
def test_known() -> None:
    """Nearly all of its tests are run, and those that are not are there."""
    assert ELSEWHERE.keys() <= set(NAMES)
    assert len(NAMES) - len(ELSEWHERE) > 75


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_statsd(name: str) -> None:
    """The client passes a test of the package `statsd`."""
    test: Callable[[], None] = getattr(TESTS, name)
    try:
        test()
    except BaseException as error:
        if type(error).__name__ == "SkipTest":
            pytest.skip(f"IPv6: {error}")
        raise
