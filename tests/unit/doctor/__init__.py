"""Tests of `statsd_tcp.doctor`."""
