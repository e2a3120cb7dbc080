"""Fuzz targets: the parts in C against those in Python. ``make fuzz`` runs them for long, `test_targets` shortly."""
