"""Weights beside a description of what they are weights of, in files that run no code."""
