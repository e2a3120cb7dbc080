"""Tests of the lanes, the intake and the sockets, over real loopback sockets and without a running reactor."""
