"""The audit: judges advice about a machine's settings, line by line."""
