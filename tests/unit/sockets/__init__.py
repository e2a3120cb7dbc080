"""Tests of the listening sockets."""
