"""What many lines add up to: a mergeable interval, and the tally that fills it. Pure, as `wire` is."""
