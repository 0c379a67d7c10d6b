"""The parts of `extract_surface`: grids of logits, their refinement, the audit of skipped cells, marching cubes."""
