"""Who is connecting: connections and lines by the address that they come from, in memory that two processes share."""
