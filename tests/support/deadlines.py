"""The time after which tests treat a wait as a hang; it is so long that even a busy machine does not reach it."""

HANG = 600  # seconds
