"""This service beside other ways to accept short connections, under the same load."""
