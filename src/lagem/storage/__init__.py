"""How data is stored on a disk or in an object store: atomic files, locks, parts, journals, caches, sharded folders."""
