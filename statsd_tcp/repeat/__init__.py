"""The accepted lines, sent on to other StatsD servers by the workers: at most once, and without delaying anything."""
