"""Comparisons and measurements; not part of the package that is installed."""
