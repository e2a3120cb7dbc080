"""Tests of what lives on a real reactor, with real sockets. They run under pytest only."""
