"""Which autoencoder latents belong to: a short hash of its architecture and its weights.

Latent caches, stages and bundles record the fingerprint of their autoencoder, so that what does not belong
together is refused before anything is computed. It knows nothing of files: a checkpoint and the safetensors file of
the same weights agree, on every machine.
"""

import hashlib
import json

from lagem.models.autoencoder import Autoencoder
from lagem.models.embedding import OCTAVES
from lagem.weights.autoencoder import describe_autoencoder


def fingerprint_of(autoencoder: Autoencoder) -> str:
    """16 hexadecimal digits of architecture and weights.

    The number of surface points it is used with is not part of it; where the network runs and its mode aren't either.
    """
    description = describe_autoencoder(autoencoder, num_surface_points=0)
    if description["octaves"] == OCTAVES:
        del description["octaves"]  # as in the fingerprints made before octaves could be chosen
    digest = hashlib.blake2b(json.dumps(description, sort_keys=True).encode(), digest_size=8)
    for name, tensor in sorted(autoencoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def check_fingerprint(expected: str, found: str, what: str) -> None:
    """ValueError where something was made with another autoencoder than it is used with.

    Args:
        expected: Fingerprint of the autoencoder in use.
        found: Fingerprint that the thing records.
        what: The thing in the user's words, e.g. `the latent cache data/latents` or `the stage level_2.ckpt`.
    """
    if found != expected:
        raise ValueError(
            f"{what} does not belong to this autoencoder: it was made with autoencoder {found}, but this one is "
            f"{expected}. Take the autoencoder it was made with, or make it again with this one."
        )
