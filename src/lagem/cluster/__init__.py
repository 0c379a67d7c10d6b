"""Jobs for SLURM: their profile, batch script, arrays and chains, and their submission."""
