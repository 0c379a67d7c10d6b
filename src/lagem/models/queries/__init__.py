"""Answer occupancy queries at points: the layers of the decoder, and the field of a decoded shape."""
