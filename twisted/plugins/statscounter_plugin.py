"""Makes ``twistd statscounter`` known to Twisted, which imports the package only when it is asked for."""

from twisted.application.service import ServiceMaker

statscounter = ServiceMaker(
    "statscounter",
    "statsd_tcp.tap",
    "Stats server for short TCP connections: counts every one, aggregates StatsD lines.",
    "statscounter",
)
