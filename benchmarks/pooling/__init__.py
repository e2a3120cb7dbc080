"""What it buys to keep connections and to add up before sending."""
