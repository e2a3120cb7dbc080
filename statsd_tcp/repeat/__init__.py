"""The lines that were accepted, sent on to other StatsD servers by the workers: at most once, and holding nobody up."""
