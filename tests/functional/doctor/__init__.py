"""The doctor in network namespaces whose settings are really changed, and with a real service."""
