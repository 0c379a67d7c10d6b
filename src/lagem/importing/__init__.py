"""Imports data that others have prepared: labelled points as a prepared folder, and furniture models as meshes."""
