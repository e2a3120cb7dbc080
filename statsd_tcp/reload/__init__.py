"""Reloading: what a new image of the service would want, and its taking over."""
