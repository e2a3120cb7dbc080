"""How long something takes: a context manager, a decorator, or by hand."""

from __future__ import annotations

import functools
from inspect import iscoroutinefunction
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Protocol, TypeVar, cast

from statsd_tcp_client.text import Tags

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Timer"]

_F = TypeVar("_F", bound=Callable[..., Any])


class _Client(Protocol):
    def timing(self, stat: str, delta: float, rate: float = 1, tags: Tags | None = None) -> None: ...


class Timer:
    """One timer. As a decorator it may be used by several threads and tasks at once, otherwise not.

    ``ms`` is the time in milliseconds, None until `stop`.
    """

    def __init__(self, client: _Client, stat: str, rate: float = 1, tags: Tags | None = None) -> None:
        self.client = client
        self.stat = stat
        self.rate = rate
        self.tags = tags
        self.ms: float | None = None
        self._sent = False
        self._start_time: float | None = None

    def __call__(self, function: _F) -> _F:
        """Return the function, timed. That of a coroutine is timed until the coroutine ends."""
        if iscoroutinefunction(function):

            @_wraps(function)
            async def timed_coroutine(*args: Any, **keywords: Any) -> Any:
                begin = perf_counter()
                try:
                    return await function(*args, **keywords)
                finally:
                    self._timing(begin)

            return cast("_F", timed_coroutine)

        @_wraps(function)
        def timed(*args: Any, **keywords: Any) -> Any:
            begin = perf_counter()
            try:
                return function(*args, **keywords)
            finally:
                self._timing(begin)

        return cast("_F", timed)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> Timer:
        """Begin, again if need be."""
        self.ms = None
        self._sent = False
        self._start_time = perf_counter()
        return self

    def stop(self, send: bool = True) -> Timer:
        """End, and send the time unless told otherwise. Raises `RuntimeError` when it was not started."""
        if self._start_time is None:
            raise RuntimeError("Timer has not started.")
        self.ms = 1000.0 * (perf_counter() - self._start_time)
        if send:
            self.send()
        return self

    def send(self) -> None:
        """Send the time. Raises `RuntimeError` when there is none, or when it was sent."""
        if self.ms is None:
            raise RuntimeError("No data recorded.")
        if self._sent:
            raise RuntimeError("Already sent data.")
        self._sent = True
        self._time(self.ms)

    def _timing(self, begin: float) -> None:
        self._time(1000.0 * (perf_counter() - begin))

    def _time(self, ms: float) -> None:
        if self.tags:
            self.client.timing(self.stat, ms, self.rate, self.tags)
        else:
            self.client.timing(self.stat, ms, self.rate)


def _wraps(function: Any) -> Callable[[Any], Any]:
    """Return `functools.wraps`, which a partial function has no name for."""
    while isinstance(function, functools.partial):
        function = function.func
    return functools.wraps(function)
