"""Tests of `statsd_tcp.status`."""
