"""Import of other people's prepared data into our format, and export to theirs."""
