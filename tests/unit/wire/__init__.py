"""Tests of framing and of the grammar of a line."""
