"""How long the tests wait for what has to come: a bound on hangs, which no loaded machine reaches."""

HANG = 600  # seconds
