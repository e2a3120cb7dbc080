"""What the kernel tells about itself and its processes: read from /proc, /sys and netlink."""
