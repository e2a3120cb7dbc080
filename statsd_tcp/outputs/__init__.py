"""Outputs: one module per way in which the stored series leave the service."""
