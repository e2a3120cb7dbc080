"""The open output flush: what came in it, the numbers that outputs get at its end, and the queues of outputs."""
