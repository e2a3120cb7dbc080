"""Tests of the state folder and of files that are ours alone."""
