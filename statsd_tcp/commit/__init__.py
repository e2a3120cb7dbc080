"""Commits: from the workers, living and dead, into the store."""
