"""All series that are kept, in columns: what a commit does to them, who owns which names, and when they go."""
