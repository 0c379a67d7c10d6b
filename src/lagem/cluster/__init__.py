"""Jobs for SLURM: their profile, batch script, arrays and chains, their submission, and runs on this machine."""
