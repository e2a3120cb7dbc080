"""The clock of a reactor's timers."""

from __future__ import annotations

from twisted.internet.base import ReactorBase
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.clock import use_monotonic

NOW = 1_700_000_000.0
HOUR = 3600.0


class Reactor(ReactorBase):
    """Twisted's own timers, without anything that waits for them."""

    def installWaker(self) -> None:
        """Do without."""


class UseMonotonicTests(SynchronousTestCase):
    """Timers, and a wall clock that is set."""

    def setUp(self) -> None:
        """Begin with a machine that was started a minute ago."""
        self.wall, self.uptime = NOW, 60.0
        self.patch(ReactorBase, "seconds", staticmethod(lambda: self.wall))
        self.reactor = Reactor()
        self.called: list[str] = []

    def use(self) -> None:
        """Do what is tested."""
        use_monotonic(self.reactor, lambda: self.wall, lambda: self.uptime)

    def after(self, seconds: float) -> list[str]:
        """Let time pass, and give the calls that were made until then."""
        self.wall += seconds
        self.uptime += seconds
        self.reactor.runUntilCurrent()
        return self.called

    def test_reads_as_before(self) -> None:
        """It gives seconds since 1970."""
        self.use()
        assert self.reactor.seconds() == NOW

    def test_wall_clock_is_set(self) -> None:
        """Whatever the wall clock is set to, a call comes when its time has passed, and the reactor waits for that."""
        self.use()
        for step in (-HOUR, HOUR):
            self.called.clear()
            self.reactor.callLater(10, self.called.append, "ten")
            self.wall += step
            assert self.reactor.timeout() == 10
            assert self.after(9.5) == []
            assert self.reactor.timeout() == 0.5
            assert self.after(0.5) == ["ten"]

    def test_reset(self) -> None:
        """A call that is put off goes by the same clock."""
        self.use()
        call = self.reactor.callLater(10, self.called.append, "ten")
        self.wall += HOUR
        call.reset(20)
        assert self.after(19.5) == []
        assert self.after(0.5) == ["ten"]

    def test_calls_made_before(self) -> None:
        """Calls that were made before keep their time."""
        self.reactor.callLater(10, self.called.append, "before")
        self.use()
        self.wall -= HOUR
        assert self.after(9.5) == []
        assert self.after(0.5) == ["before"]

    def test_twice(self) -> None:
        """A second time changes nothing."""
        self.use()
        before = self.reactor.seconds()
        self.wall += HOUR
        self.use()
        assert self.reactor.seconds() == before

    def test_other_reactors(self) -> None:
        """Other reactors of the process keep their clock."""
        self.use()
        self.wall += HOUR
        assert Reactor().seconds() == self.wall
