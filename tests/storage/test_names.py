"""Names in files may not lead out of their folder, and only regular files are opened; each refusal is one line."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hostile_names import HOSTILE
from lagem.embeddings.file import Embeddings
from lagem.evaluation.reconstruction.card import read_card
from lagem.latents.latent_shard import LatentShard
from lagem.latents.selection import read_ids
from lagem.prepared.records import read_records
from lagem.prepared.shard_file import ShardFile
from lagem.sources.mesh_files import find_meshes
from lagem.storage.checked.digest import sha256_of
from lagem.storage.csv_table import read_csv
from lagem.storage.folder_index import read_index
from lagem.storage.journal import Journal
from lagem.storage.names import NameRefused, check_own_folder, checked_id, checked_name, inside, regular
from lagem.storage.stored_folder import LocalFolder
from lagem.training.checkpoints import steps_of
from lagem.weights.autoencoder import load_autoencoder


@pytest.mark.parametrize("name", ["chair__0001", "00001-0a1b2c3d.safetensors", "Stuhl (2) ä", "a.b", "x" * 200])
def test_plain_names_are_ids_and_names(name):
    assert checked_name(name, "index.csv") == checked_id(name, "index.csv") == name


def test_ids_of_procedural_shapes_have_a_slash_and_are_no_names():
    assert checked_id("train/00017", "index.csv") == "train/00017"
    with pytest.raises(NameRefused):
        checked_name("train/00017", "index.csv")


@pytest.mark.parametrize("name", [*HOSTILE, None, 3, ["x"]])
@pytest.mark.parametrize("check", [checked_name, checked_id])
def test_other_texts_are_refused_in_one_short_printable_line(name, check):
    with pytest.raises(NameRefused, match=r"^data/index\.csv: row 3: ") as refused:
        check(name, "data/index.csv", row=3)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a file, links that lead inside it, and links that lead to a file outside."""
    for name in ("folder/below", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside" / "victim").write_text("keep")
    (tmp_path / "folder" / "file").write_text("own")
    (tmp_path / "folder" / "to_victim").symlink_to(tmp_path / "outside" / "victim")
    (tmp_path / "folder" / "to_outside").symlink_to(tmp_path / "outside")
    (tmp_path / "folder" / "to_file").symlink_to("file")
    (tmp_path / "folder" / "circle").symlink_to("circle")
    return tmp_path / "folder"


@pytest.mark.parametrize("name", ["file", "below", "below/../file", "to_file", "absent"])
def test_a_path_inside_is_given(folder, name):
    assert inside(folder, name) == folder / name


@pytest.mark.parametrize(
    "name", ["..", "../outside/victim", "/etc/passwd", "to_victim", "to_outside/victim", "to_outside", "a\0", "x" * 300]
)
def test_a_path_that_leads_out_is_refused_also_through_links(folder, name):
    with pytest.raises(NameRefused, match=r"table\.csv: row 2: "):
        inside(folder, name, source="table.csv", row=2)


def test_a_circle_of_links_is_refused(folder):
    with pytest.raises(NameRefused):
        inside(folder, "circle")


def test_a_folder_that_is_reached_by_a_link_is_a_folder(folder, tmp_path):
    (tmp_path / "linked").symlink_to(folder)
    assert inside(tmp_path / "linked", "file").read_text() == "own"


def test_a_linked_subfolder_is_no_place_to_write(folder):
    check_own_folder(folder / "below")
    check_own_folder(folder / "absent")
    with pytest.raises(NameRefused, match="to_outside: is a symbolic link to "):
        check_own_folder(folder / "to_outside")


@pytest.fixture
def pipe(tmp_path) -> Path:
    """The path of a pipe that nobody writes to, so opening it waits for ever."""
    path = tmp_path / "pipe" / "index.csv"
    path.parent.mkdir()
    os.mkfifo(path)
    return path


def test_only_regular_files_are_opened(tmp_path, pipe):
    (tmp_path / "file").touch()
    assert regular(tmp_path / "file") == tmp_path / "file"
    for path, kind in ((pipe, "a pipe"), (tmp_path, "a folder"), (Path("/dev/zero"), "a device")):
        with pytest.raises(NameRefused, match=f"is {kind}, but a file is needed"):
            regular(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(NameRefused, match="is a socket"):
            regular(tmp_path / "socket")
    with pytest.raises(FileNotFoundError):
        regular(tmp_path / "absent")


READERS: dict[str, Callable[[Path], object]] = {
    "table": lambda path: list(read_csv(path, ["id"])),
    "manifest": lambda path: find_meshes([path], val_share=0),
    "index": lambda path: read_index(path, "index.csv"),
    "format": lambda path: LocalFolder(path.parent).held("index.csv"),
    "digest": sha256_of,
    "journal": lambda path: Journal(path, "kind"),
    "ids": read_ids,
    "shard": ShardFile,
    "latent shard": LatentShard,
    "embeddings": lambda path: Embeddings(path, ["a"]),
    "checkpoint": lambda path: load_autoencoder(path.rename(path.with_suffix(".ckpt"))),
    "safetensors": lambda path: load_autoencoder(path.rename(path.with_suffix(".safetensors"))),
    "checkpoint to resume": steps_of,
    "card": lambda path: (path.rename(path.with_name("card.json")), read_card(path.parent)),
    "record": lambda path: (
        (path.parent / "shapes").mkdir(),
        path.rename(path.parent / "shapes" / "a.json"),
        read_records(path.parent),
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_in_place_of_a_file_is_refused_at_once(pipe, reader):
    with pytest.raises(ValueError):
        READERS[reader](pipe)
