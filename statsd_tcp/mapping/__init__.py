"""Mapping: from the names that clients send to the names and labels that Prometheus gets."""
