"""Random furniture with exact occupancy, generated on the fly, without files or downloads."""
