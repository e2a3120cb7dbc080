"""Series in columns."""
