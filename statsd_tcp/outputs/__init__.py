"""Outputs: the ways in which flushes leave the service, and the delivery to each."""
