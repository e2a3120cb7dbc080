"""Tests of the room ``repeat``."""
