"""A folder of weights, the form in which they are saved and shared: config.json, safetensors files, README.md.

`model.safetensors` holds an autoencoder. In the folder of a cascade, `level_<i>.safetensors` holds the stage of level
i. `config.json` states the architecture of the autoencoder and its fingerprint, and lists the files with their hashes,
so that damage is noticed before anything is used. lagem does not read README.md, the model card.

Earlier versions of lagem wrote cascades with `cascade.json` and `autoencoder.safetensors`; these are read, too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lagem.pretrained import pretrained_autoencoder
from lagem.storage.checked.arrays import ArrayFile
from lagem.storage.checked.checksums import ENTRY
from lagem.storage.checked.description import read_description
from lagem.storage.checked.digest import sha256_of
from lagem.storage.names import checked_name, inside
from lagem.weights.errors import WeightsError, differences

FORMAT, EARLIER_FORMAT = "lagem-weights-1", "lagem-cascade-1"
CONFIG, EARLIER_CONFIG = "config.json", "cascade.json"
AUTOENCODER, EARLIER_AUTOENCODER = "model.safetensors", "autoencoder.safetensors"
CARD = "README.md"
REMEDY = "copy or make the folder again"

Result = TypeVar("Result")


def stage_name(level: int) -> str:
    """Return the name of the file of a stage."""
    return f"level_{level}.safetensors"


def is_weights_folder(folder: Path) -> bool:
    """Return whether a folder has the config file of a folder of weights. The content of the file is not checked."""
    return (folder / CONFIG).is_file() or (folder / EARLIER_CONFIG).is_file()


class WeightsFolder:
    """A folder of weights, whose config.json has been read and checked.

    config: path of the config.json.
    fingerprint: fingerprint of the autoencoder before it was saved; the stages record it.
    as_stored: fingerprint of the saved autoencoder; it may differ from `fingerprint` if `is_half`.
        None if config.json lacks it.
    is_half: whether the weights are stored as float16.
    category_names: names of the categories of the stages; None if config.json lacks them.
    has_stages: whether the folder holds a cascade.

    Args:
        folder: The folder.

    Raises:
        WeightsError: If the folder is not a folder of weights, or its config.json is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_earlier = not (folder / CONFIG).is_file() and (folder / EARLIER_CONFIG).is_file()
        self.config = folder / (EARLIER_CONFIG if self._is_earlier else CONFIG)
        if not self.config.is_file():
            lacks = f"there is no {CONFIG} in it" if folder.is_dir() else "there is no such folder"
            raise WeightsError(f"{folder}: not a folder of weights ({lacks}); give one that lagem saved.")
        # the files of a snapshot in the Hub's cache are links to ../../blobs
        repository = folder.parent.parent
        is_snapshot = folder.parent.name == "snapshots" and (repository / "blobs").is_dir()
        self._root = repository if is_snapshot else folder
        self._read(self._read_config)

    def _read_config(self) -> None:
        about = read_description(self.config, remedy=REMEDY)
        about.text("format", choices=(EARLIER_FORMAT if self._is_earlier else FORMAT,))
        self.fingerprint = about.text("autoencoder")
        self.as_stored = about.optional(about.text, "autoencoder_as_stored")
        self.is_half = about.optional(about.text, "precision") == "float16"
        self.category_names = about.optional(about.texts, "category_names")
        self._architecture = None if self._is_earlier else about.object("architecture").values
        hashes = about.object("sha256")
        self._hashes = {checked_name(name, self.config): hashes.text(name) for name in hashes.values}
        self.has_stages = stage_name(1) in self._hashes

    def autoencoder(self) -> Path:
        """Return the path of the autoencoder's file; raises WeightsError if the file is missing or damaged."""
        if not self._is_earlier:
            file = self.file(AUTOENCODER)
            self._read(lambda: self._check_architecture(file))
            return file
        own, shipped = self.folder / EARLIER_AUTOENCODER, pretrained_autoencoder()
        if not own.exists() and self._hashes.get(EARLIER_AUTOENCODER) == sha256_of(shipped):
            return shipped
        return self.file(EARLIER_AUTOENCODER)

    def stage(self, level: int) -> Path:
        """Return the path of the file of a level's stage; raises WeightsError if the file is missing or damaged."""
        return self.file(stage_name(level))

    def file(self, name: str) -> Path:
        """Return the path of a file; raises WeightsError if the file does not have the hash that config.json states."""
        if name not in self._hashes:
            raise WeightsError(f"{self.config}: lacks the sha256 of {name}; {REMEDY}.")
        path = self.folder / name
        self._read(lambda: inside(self._root, str(path.relative_to(self._root))))
        if not path.is_file() or sha256_of(path) != self._hashes[name]:
            raise WeightsError(f"{path}: missing or damaged; {REMEDY}.")
        return path

    def _check_architecture(self, file: Path) -> None:
        assert self._architecture is not None
        described = ArrayFile(file, entry="autoencoder", what="a safetensors file", remedy=REMEDY).description.values
        ours = {**dict.fromkeys(self._architecture), **described}
        ours.pop(ENTRY, None)
        if differing := differences(self._architecture, ours):
            raise WeightsError(
                f"{self.config}: its architecture is not that of {file.name} ({differing}); {REMEDY}. The architecture "
                "of trained weights cannot be edited."
            )

    def _read(self, read: Callable[[], Result]) -> Result:
        try:
            return read()
        except ValueError as error:
            raise WeightsError(str(error)) from None
