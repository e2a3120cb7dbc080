"""Two nodes behind each balancer of docs/balancers.md, with the configuration that it shows."""
