"""This service beside other StatsD servers: what a line costs on connections that stay, and in datagrams."""
