"""The service: its parts made of the settings, put together, started, and brought to their end in order."""
