"""Policy as pure functions: facts and the time in, a decision out."""
