"""The control API: one table of routes, served on a socket and on loopback TCP."""
