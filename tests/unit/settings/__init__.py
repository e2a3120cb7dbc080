"""Tests of the options, endpoint strings and other values of the settings."""
