"""Fingerprint of an autoencoder, to tell which latents belong to it: a short hash of architecture and weights.

Latent caches, stages and bundles record the fingerprint of their autoencoder, so that parts that do not belong
together are refused before anything is computed. A fingerprint does not depend on files: a checkpoint and the
safetensors file of the same weights have the same one, on every machine.
"""

import hashlib
import json

from lagem.models.autoencoder import Autoencoder
from lagem.weights.autoencoder import AutoencoderSpec


def fingerprint_of(autoencoder: Autoencoder) -> str:
    """16 hexadecimal digits of architecture and weights.

    They depend neither on the number of surface points nor on the network's device or mode.
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
        what: That object in the user's words, e.g. `the latent cache data/latents` or `the stage level_2.ckpt`.
    """
    if found != expected:
        raise ValueError(
            f"{what} does not belong to this autoencoder: it was made with autoencoder {found}, but this one is "
            f"{expected}. Take the autoencoder it was made with, or make it again with this one."
        )
