"""Files whose content is checked before it is used: their descriptions, their arrays and their checksums."""
