"""Prepared folders: the format of their shards, their reader, the records of their meshes, and their inspection."""

from lagem.prepared.shards import Shards

__all__ = ["Shards"]
