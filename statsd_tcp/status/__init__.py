"""What the service says about itself: its own metrics, its status, the greeting, systemd."""
