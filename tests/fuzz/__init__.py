"""Fuzz targets, each with a small corpus on which it runs as a test."""
