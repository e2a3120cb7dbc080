"""Tests of what is known about sources."""
