"""Machines, recorded and made by hand."""
