"""Tests of how the service begins and ends."""
