"""A simulated AWS on 127.0.0.1: its own process, speaking only AWS's protocols, knowing nothing of the daemon."""
