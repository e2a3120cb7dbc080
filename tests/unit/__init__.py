"""Tests of single parts: no process, no running reactor, no waiting for time to pass."""
