"""The digest of a file, which identifies the file by its content, not by its path."""

import hashlib
from pathlib import Path

from lagem.storage.failures import failures_named
from lagem.storage.names import regular


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    with failures_named(path), regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
