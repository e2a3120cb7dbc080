"""Tests that need nothing but Python: ``python -m unittest discover -s tests/client/portable -t .``."""
