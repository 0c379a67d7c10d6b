"""A prepared folder: its shard format, its reader, its records, and inspection of it."""

from lagem.prepared.shards import Shards

__all__ = ["Shards"]
