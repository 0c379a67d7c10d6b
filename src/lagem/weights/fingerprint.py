"""The fingerprint of an autoencoder: a short hash of its architecture and weights.

Latent caches, stages and bundles record the fingerprint of the autoencoder that they were made with. If the autoencoder
in use has another fingerprint, they are refused before anything is computed. A fingerprint does not depend on the kind
of file or on the machine: a checkpoint and a safetensors file of the same weights have the same fingerprint.
"""

import hashlib
import json

from lagem.models.autoencoder import Autoencoder
from lagem.weights.autoencoder import AutoencoderSpec
from lagem.weights.errors import WeightsError
from lagem.weights.folder import WeightsFolder


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


def encoder_of(fingerprint: str) -> str:
    """Return the name of an encoder of partial clouds. A file of embeddings records this name.

    Args:
        fingerprint: Fingerprint of the autoencoder that the encoder belongs to.
    """
    return f"partial cloud, autoencoder {fingerprint}"


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


def check_recorded_autoencoder(fingerprint: str, folder: WeightsFolder) -> None:
    """Raise ValueError unless the autoencoder in a folder of weights is the one that config.json records.

    Storing weights in half precision changes the autoencoder's fingerprint. Earlier versions of lagem recorded only the
    fingerprint of the original weights, so their half-precision folders cannot be checked and are refused.

    Args:
        fingerprint: Fingerprint of the autoencoder that was read from the folder.
        folder: The folder.
    """
    recorded = folder.fingerprint if folder.as_stored is None else folder.as_stored
    if folder.as_stored is None and folder.is_half and fingerprint != recorded:
        raise WeightsError(
            f"{folder.config}: lacks the field autoencoder_as_stored, so lagem cannot check whether the stages "
            "belong to the autoencoder. Earlier versions of lagem did not write this field, which a bundle in half "
            "precision needs. Make the bundle again from the weights of the runs, with `lagem bundle --half`."
        )
    check_fingerprint(fingerprint, recorded, f"the folder {folder.folder}")
