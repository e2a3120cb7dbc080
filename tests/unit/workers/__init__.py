"""Tests of the supervisor, the worker and what lies between them."""
