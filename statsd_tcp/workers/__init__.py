"""The worker process, and the channel between it and the supervisor."""
