"""This service compared with other StatsD servers: what a line costs on connections that stay, and in datagrams."""
