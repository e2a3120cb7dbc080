"""Tests of the mapping by statsd_exporter's files."""
