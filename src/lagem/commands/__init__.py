"""The tool verbs of `lagem`, one per file: each defines arguments and makes one call, without logic."""
