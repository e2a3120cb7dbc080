"""The management console: a port for people and scripts, with the commands of etsy's statsd."""
