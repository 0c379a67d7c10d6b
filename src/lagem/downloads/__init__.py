"""Public collections of meshes, downloaded by the packages of their makers."""
