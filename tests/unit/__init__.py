"""Tests of single parts: no process, no running reactor, no waiting for time to pass."""

from tests.profiles import register

# Under trial no other code does it.
register()
