"""Reads and writes weights with a description of their network, without running code from the file.

Our own files are safetensors with the description as JSON in the metadata. A Lightning checkpoint holds the same
description in plain types, and is read with `weights_only=True`. In both, the key of the description is the kind of
the network: `autoencoder` or `stage`.
"""

import argparse
import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from lagem.storage.atomic import remove_leftovers, write_bytes
from lagem.storage.checked.arrays import ArrayFile
from lagem.storage.checked.checksums import with_checksums
from lagem.storage.names import NameRefused, regular
from lagem.weights.errors import LONGEST_REASON, WeightsError, quoted
from lagem.weights.zip_records import check_records

Kind = Literal["autoencoder", "stage"]
WHAT = {"autoencoder": "an autoencoder", "stage": "a stage of the cascade"}
IN_CHECKPOINT = {"autoencoder": "autoencoder.", "stage": "denoiser.backbone."}  # prefix in the state dict

FLOATS = ("F32", "F16", "BF16", "F64")
REMEDY = "fetch the file again, or give another"


@dataclass(frozen=True)
class WeightsFile:
    """The path of a file, and the description and the state dict of the network in it."""

    path: Path
    description: dict[str, Any]
    state: dict[str, Tensor]

    def check_holds(self, weights: int) -> None:
        """Raise WeightsError if the file is too small for this number of weights; called before a network is built."""
        storages = [tensor.untyped_storage() for tensor in self.state.values()]
        held = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
        if weights > held:
            raise WeightsError(
                f"{self.path}: describes a network of at least {weights:,} weights, but holds only {held:,} bytes of "
                f"weights; {REMEDY}."
            )

    def load_into(self, network: nn.Module) -> None:
        """Load these weights into a network; raises WeightsError if they do not fit."""
        load_state(network, self.state, self.path)


def write_weights(
    network: nn.Module, path: str | Path, *, kind: Kind, description: Mapping[str, Any], half: bool = False
) -> None:
    """Write weights and their description to one safetensors file, whole or not at all; missing folders are created.

    Args:
        network: The network to save.
        path: File to write.
        kind: Kind of the network.
        description: Description of the network in plain types, with the entry `format`.
        half: Whether to store the weights as float16, which a reader turns back into float32.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        state = {name: tensor.half() for name, tensor in state.items()}
    remove_leftovers(path.parent, of=path.name)
    described = with_checksums(description, {name: bytes_of(tensor) for name, tensor in state.items()})
    write_bytes(path, save(state, metadata={kind: json.dumps(described)}))


def read_weights(path: str | Path, *, kind: Kind, format: str) -> WeightsFile:
    """Read the weights in a safetensors file that lagem wrote, or in a checkpoint of `lagem fit`.

    From a checkpoint of a run with weight averaging, the averaged weights are read.

    Args:
        path: File to read.
        kind: Kind of network that the file must hold.
        format: Format that its description must have.

    Raises:
        WeightsError: If the file is absent or unreadable, or holds a network of another kind or in another format.
    """
    path = Path(path)
    found = _read_safetensors(path, kind) if path.suffix == ".safetensors" else _read_checkpoint(path, kind)
    written = found.description.get("format") if isinstance(found.description, dict) else None
    if written != format:
        needed = f"{WHAT[kind]} in format {format!r}"
        held = "of another kind, or not written by lagem" if written is None else f"in format {written!r}"
        raise WeightsError(f"{path}: its weights are {held}, but the file must hold {needed}; give another.")
    return found


def load_state(network: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Load a state dict into a network; raises WeightsError if it does not fit.

    The message names `source` and the first mismatch.
    """
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(f"{source}: its weights do not fit the architecture that it describes: {first}") from error


def bytes_of(tensor: Tensor) -> NDArray[np.uint8]:
    """Return the bytes of a tensor as a file stores them."""
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def is_dense(value: Any) -> bool:
    """Return whether a value is a dense tensor of floating-point numbers in the CPU's memory."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.is_floating_point()
    )


def load_plain(path: Path) -> Any:
    """Read what torch saved to a file; raises WeightsError if the file is damaged or holds more than plain data."""
    _check_is_file(path)
    check_undamaged(path)
    # The authors' files hold an argparse.Namespace, which is plain data; everything else is refused.
    with unreadable_refused(path), torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=False)


@contextmanager
def unreadable_refused(path: str | Path) -> Iterator[None]:
    """Raise WeightsError if torch cannot load a file inside the `with`, or the file holds more than plain data."""
    try:
        yield
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise refused(path, error) from error
    except Exception as error:  # torch raises many types for a file that it did not write
        if "GLOBAL" in str(error):  # torch's message, which is not quoted, advises to load the file all the same
            raise refused(path, error) from error
        raise WeightsError(
            f"{path}: not a checkpoint, or a damaged one ({quoted(error)}); fetch the file again, or give another."
        ) from error


def check_undamaged(checkpoint: Path) -> None:
    """Raise WeightsError if a checkpoint does not match its checksums."""
    if damage := check_records(checkpoint):
        raise WeightsError(f"{checkpoint}: a damaged checkpoint ({damage}); copy the file again, or give another.")


def refused(path: str | Path, error: Exception) -> WeightsError:
    """Return the error for a file or folder whose loading would run code."""
    _, found, name = str(error).partition("GLOBAL")
    reason = f"{found}{name}".splitlines()[0][:LONGEST_REASON] if found else "it is not a plain state dict"
    return WeightsError(f"{path}: refused, because loading it would run code from it ({reason}); give another.")


def _check_is_file(path: Path) -> None:
    """Raise WeightsError if a path does not lead to a regular file."""
    try:
        regular(path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file.") from None
    except NameRefused as error:
        raise WeightsError(str(error)) from None


def _read_safetensors(path: Path, kind: Kind) -> WeightsFile:
    _check_is_file(path)
    try:
        file = ArrayFile(path, entry=kind, what="a safetensors file", remedy=REMEDY, framework="pt")
        file.verify_description()
        state = {}
        for name in file.names:
            file.check(name, FLOATS)
            state[name] = file.tensor(name)
            file.checksums.check(name, bytes_of(state[name]))
    except ValueError as error:
        raise WeightsError(str(error)) from None
    return WeightsFile(path, file.description.values, state)


def _read_checkpoint(path: Path, kind: Kind) -> WeightsFile:
    checkpoint = load_plain(path)
    if not isinstance(checkpoint, dict) or not {kind, "state_dict"} <= checkpoint.keys():
        hint = " Import the authors' weights with `lagem import-weights`." if kind == "autoencoder" else ""
        raise WeightsError(f"{path}: this is not a checkpoint of `lagem fit` with the weights of {WHAT[kind]}.{hint}")
    weights = checkpoint["state_dict"]
    if not isinstance(weights, dict) or not all(isinstance(t, Tensor) for t in weights.values()):
        raise WeightsError(f"{path}: its state_dict is damaged, because it does not map names to tensors; {REMEDY}.")
    if not isinstance(checkpoint[kind], dict):
        raise WeightsError(f"{path}: its entry {kind} is not a description of a network; {REMEDY}.")
    prefix = IN_CHECKPOINT[kind]
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if isinstance(name, str) and name.startswith(prefix)
    }
    if other := [name for name, tensor in state.items() if not is_dense(tensor)]:
        raise WeightsError(
            f"{path}: its tensor {other[0]:.100} is not a dense tensor of floating-point numbers; {REMEDY}."
        )
    return WeightsFile(path, checkpoint[kind], state)
