"""Durable totals: one SQLite file that holds what was counted, across restarts and power losses."""
