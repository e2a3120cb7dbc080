"""HTTP: metrics for Prometheus, health for load balancers, status for people and scripts."""
