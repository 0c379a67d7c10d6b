"""Random furniture with exact occupancy, made on the fly: no files, no download."""
