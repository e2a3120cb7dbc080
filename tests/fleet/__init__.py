"""Three nodes behind a balancer, with two engines: whatever is killed, their sums are what the clients' records say."""
