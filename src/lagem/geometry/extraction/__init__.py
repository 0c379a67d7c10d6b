"""What `extract_surface` is made of: logits at nodes, refined levels, the audit of skipped cells, marching cubes."""
