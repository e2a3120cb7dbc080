"""Unit tests of `statsd_tcp.commit`."""
