"""How data lies on a disk or in a store: files written whole or not at all, locks, caches, folders of shards."""
