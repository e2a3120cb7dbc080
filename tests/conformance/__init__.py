"""What other servers' own tests say about lines, retyped, and what the lines mean here."""
