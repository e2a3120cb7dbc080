"""Tests of single parts: no process, no socket, no waiting."""
