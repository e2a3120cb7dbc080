"""What the operator asked for: text from the command line and files to typed values."""
