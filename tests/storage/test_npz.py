"""Hostile and damaged npz and zip files are refused in one line, without unpickling and without much memory."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lagem.storage.checked.npz import NpzFile, read_npy
from lagem.storage.checked.zip_file import MOST_MEMBERS, ZipMembers


def npy(header: str, data: bytes = b"") -> bytes:
    """Return the content of an npy file with this header and these data."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def saved(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.eye(3)),
        np.array(2.5),
        np.array([True]),
        np.zeros((0, 3), ">f2"),
    ],
    ids=str,
)
def test_arrays_are_those_of_numpy(save, array: np.ndarray, tmp_path: Path):
    save(tmp_path / "a.npz", a=array)
    with NpzFile(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file.array("a"), array)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"12345678"),
        npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}", bytes(16)),
        npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", bytes(5)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", bytes(4)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999999999999)}"),
        npy("[" * 100),
        npy("__import__('os').abort()"),
    ],
    ids=range(12),
)
def test_what_is_no_array_of_numbers_is_refused(content: bytes, tmp_path: Path):
    with (
        NpzFile(saved(tmp_path / "a.npz", content)) as file,
        pytest.raises(ValueError, match="not an array of numbers"),
    ):
        file.array("a")


def test_a_pickle_is_never_loaded(tmp_path: Path):
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "exploded").touch, ())

    np.savez(tmp_path / "a.npz", a=np.array([Bomb()], dtype=object))
    with NpzFile(tmp_path / "a.npz") as file, pytest.raises(ValueError, match="not an array of numbers"):
        file.array("a")
    assert not (tmp_path / "exploded").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path):
    path = saved(tmp_path / "a.zip", bytes(64 * 2**20))
    tracemalloc.start()
    with ZipMembers(path) as members, pytest.raises(ValueError, match="at most 1,048,576 are read"):
        members.read("a.npy", at_most=2**20)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path):
    path = saved(tmp_path / "a.zip", bytes(2**20))
    content = bytearray(path.read_bytes())
    directory = content.rfind(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 100)
    path.write_bytes(content)
    with ZipMembers(path) as members, pytest.raises(ValueError, match="damaged"):
        members.read("a.npy", at_most=2**20)


def test_damaged_encrypted_and_doubled_members_are_refused(tmp_path: Path):
    path = saved(tmp_path / "a.zip", b"content " * 100)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[40] ^= 1
    path.write_bytes(flipped)
    with ZipMembers(path) as members, pytest.raises(ValueError, match="damaged"):
        members.read("a.npy", at_most=2**20)
    encrypted = bytearray(whole)
    encrypted[whole.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    with ZipMembers(path) as members, pytest.raises(ValueError, match="encrypted"):
        members.read("a.npy", at_most=2**20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("a", b"1")
        file.writestr("a", b"2")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="same name"):
        ZipMembers(path)


@pytest.mark.parametrize("cut", [0, 10, 100, -1, -20])
def test_a_cut_file_is_refused_in_one_line(cut: int, tmp_path: Path):
    np.savez(tmp_path / "a.npz", a=np.arange(100.0))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[:cut])
    with pytest.raises(ValueError, match=r"a\.npz: not a zip file, or a damaged one") as refusal:
        NpzFile(tmp_path / "a.npz")
    assert "\n" not in str(refusal.value)


def test_a_missing_array_is_named_with_those_there(tmp_path: Path):
    np.savez(tmp_path / "a.npz", points=np.eye(3))
    with NpzFile(tmp_path / "a.npz") as file, pytest.raises(ValueError, match="has no array 'labels', only points"):
        file.array("labels")


def test_more_members_than_the_file_states_are_refused(tmp_path: Path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for number in range(MOST_MEMBERS + 1):
            file.writestr(zipfile.ZipInfo(f"{number}"), b"")
    data = bytearray(content.getvalue())
    data[-14:-10] = struct.pack("<HH", 1, 1)
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match="holds 50,001 members, but at most 50,000 are read"):
        ZipMembers(tmp_path / "a.npz")


def test_a_zip64_file_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "many.zip"
    path.write_bytes(b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(18))
    with pytest.raises(ValueError, match="many.zip: is in ZIP64 format, or .*; unpack it, and pack fewer members"):
        ZipMembers(path)
