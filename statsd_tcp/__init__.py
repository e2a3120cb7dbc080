"""A stats server for short TCP connections: counts every one, and aggregates the StatsD lines they bring."""

__version__ = "0.1.0"
