"""Import of other people's prepared data into our format."""
