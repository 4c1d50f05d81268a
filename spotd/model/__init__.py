"""What the daemon talks about: frozen types without behaviour that needs I/O."""
