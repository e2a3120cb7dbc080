"""Remote write: what `/metrics` says, sent to Prometheus and to what receives as it does, exactly and in order."""
