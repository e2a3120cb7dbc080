"""The console command and its load generator."""
