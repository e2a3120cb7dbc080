"""Tests of the client. Those in the folder portable need nothing but Python, from 3.9 on."""
