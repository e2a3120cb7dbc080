"""Files for other programs, which the package brings along: rules and alerts of Prometheus, a dashboard of Grafana."""
