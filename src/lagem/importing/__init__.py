"""Imports data of others: labelled points into a prepared folder, and furniture models as mesh files."""
