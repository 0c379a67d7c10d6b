"""The verbs that make and inspect data: download, import, prepare, inspect, select-ids, encode and embed."""
