"""What the doctor judges, one module for each part of the machine: each has its checks in ``CHECKS``."""
