"""A run of `lagem fit`: its command line, run folder, checkpoints, record, and how it ends."""
