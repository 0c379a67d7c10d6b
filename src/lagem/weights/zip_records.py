"""The records of a checkpoint, a zip file of torch, checked before torch reads them: torch ignores their CRC-32."""

import struct
import zipfile
from pathlib import Path

PICKLE = "/data.pkl"  # names, shapes and numbers; tensors are separate records
MOST_PICKLE = 256 * 2**20  # bytes
FOLDER = 0x10  # in the attributes of a record, as DOS has them
CHUNK = 2**20


def check_records(path: Path, *, pickle_only: bool = False) -> str:
    """Why a checkpoint is damaged; empty if it is not, or if it is no zip file, but of torch's older format.

    Args:
        path: The file.
        pickle_only: Verify only the record without tensors.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return ""
        size = file.seek(0, 2)
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                return "a record is compressed, which torch never does"
            if any(record.is_dir() or record.external_attr & FOLDER for record in records):
                return "a record is marked as a folder, which torch reads as empty"
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
