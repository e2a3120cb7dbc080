"""This service compared with other ways to accept short connections, under the same load."""
