"""The supervisor: slots and lives of worker processes, and what one image of it hands to the next."""
