"""Public collections of meshes, downloaded by the Python packages of their makers."""
