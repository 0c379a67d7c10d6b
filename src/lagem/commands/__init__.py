"""One file a tool verb of `lagem`: arguments in, calls out, no logic."""
