"""Tests of `statsd_tcp.supervisor`."""
