"""The console command ``statscounter`` and its subcommands."""
