"""Tests of `statsd_tcp.reload`."""
