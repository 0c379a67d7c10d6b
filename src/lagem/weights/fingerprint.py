"""The fingerprint of an autoencoder: a short hash of its architecture and weights.

Latent caches, stages and bundles record the fingerprint of the autoencoder that they were made with. If the autoencoder
in use has another fingerprint, they are refused before anything is computed. A fingerprint does not depend on the kind
of file or on the machine: a checkpoint and a safetensors file of the same weights have the same fingerprint.
"""

import hashlib
import json

from lagem.models.autoencoder import Autoencoder
from lagem.weights.autoencoder import AutoencoderSpec


def fingerprint_of(autoencoder: Autoencoder) -> str:
    """Return the fingerprint of an autoencoder, 16 hexadecimal digits.

    It depends neither on the number of surface points nor on the network's device or mode.
    """
    hashed = AutoencoderSpec.of(autoencoder, num_surface_points=0).hashed()
    digest = hashlib.blake2b(json.dumps(hashed, sort_keys=True).encode(), digest_size=8)
    for name, tensor in sorted(autoencoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def check_fingerprint(expected: str, found: str, what: str) -> None:
    """Raise ValueError if something was made with another autoencoder than the one in use.

    Args:
        expected: Fingerprint of the autoencoder in use.
        found: Fingerprint that the checked object records.
        what: The checked object in the user's words, such as `the latent cache data/latents`.
    """
    if found != expected:
        raise ValueError(
            f"{what} does not belong to this autoencoder: it was made with autoencoder {found}, but the one in use is "
            f"{expected}. Use autoencoder {found}, or make {what} again with the one in use."
        )
