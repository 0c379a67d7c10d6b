"""What files say about themselves, checked before it is used: their descriptions, their arrays and their bits."""
