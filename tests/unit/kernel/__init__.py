"""Tests of what is read from /proc and /sys, over trees made by hand."""
