"""Tests of what is shipped: the wheel, installed out of sight of the checkout, and the files in etc/."""
