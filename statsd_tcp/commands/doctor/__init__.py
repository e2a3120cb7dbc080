"""``statscounter doctor``: the doctor's knowledge on the command line."""
