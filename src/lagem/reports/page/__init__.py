"""One page: what it consists of, how its shapes are packed, and its HTML."""
