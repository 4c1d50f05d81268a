"""The daemon's periodic duties and the supervisor that runs them."""
