"""Networks' weights, each with a spec of its network, in files that run no code."""
