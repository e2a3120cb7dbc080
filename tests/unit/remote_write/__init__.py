"""Tests of remote write."""
