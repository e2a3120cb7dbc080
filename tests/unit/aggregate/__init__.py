"""Tests of intervals, their encoding, and the tally that fills them."""
