"""Checks the records of a checkpoint before torch reads them, because torch ignores their checksums (CRC-32).

A checkpoint is a zip file. Its record `data.pkl` holds names, shapes and numbers, and each tensor is another record.
"""

import struct
import zipfile
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

PICKLE = "/data.pkl"
MOST_PICKLE = 256 * 2**20  # maximum size of this record in bytes
FOLDER = 0x10  # bit of the DOS attributes of a record that marks a folder
CHUNK = 2**20


def check_records(source: Path | BytesIO, *, pickle_only: bool = False) -> str:
    """Return why a checkpoint is damaged, or an empty text if it is not.

    A file in torch's older format, which is no zip file, is not checked.

    Args:
        source: The file, or its content.
        pickle_only: Whether to verify the checksum of `data.pkl` only, and not those of the tensors.
    """
    opened: AbstractContextManager[BinaryIO] = nullcontext(source) if isinstance(source, BytesIO) else source.open("rb")
    with opened as file:
        return _damage(file, pickle_only) if file.read(4) == b"PK\x03\x04" else ""


def _damage(file: BinaryIO, pickle_only: bool) -> str:
    size = file.seek(0, 2)
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                return "a record is compressed, but torch never compresses records"
            if any(record.is_dir() or record.external_attr & FOLDER for record in records):
                return "a record is marked as a folder, so torch would read it as empty"
            if sum(record.file_size for record in records) > size:
                return "its records are larger than the file"
            if any(record.filename.endswith(PICKLE) and record.file_size > MOST_PICKLE for record in records):
                return f"its {PICKLE[1:]} has more than {MOST_PICKLE:,} bytes"
            for record in records:
                if not pickle_only or record.filename.endswith(PICKLE):
                    with archive.open(record) as content:
                        while content.read(CHUNK):  # zipfile compares the CRC-32 at the end
                            pass
    except (zipfile.BadZipFile, struct.error, EOFError, OSError, ValueError, RuntimeError) as error:
        return str(error) or type(error).__name__
    return ""
