"""Save an autoencoder, with the stages of a cascade if there are any, as a folder of weights with a model card."""

from collections.abc import Sequence
from pathlib import Path

from lagem.models.autoencoder import Autoencoder
from lagem.models.denoiser import Backbone
from lagem.storage.atomic import new_folder, write_json, write_text
from lagem.storage.checked.digest import sha256_of
from lagem.weights.autoencoder import AutoencoderSpec, load_autoencoder, save_autoencoder
from lagem.weights.errors import WeightsError
from lagem.weights.fingerprint import fingerprint_of
from lagem.weights.folder import AUTOENCODER, CARD, CONFIG, FORMAT, stage_name
from lagem.weights.stage import StageSpec, save_stage


def save_weights(
    autoencoder: Autoencoder,
    spec: AutoencoderSpec,
    stages: Sequence[tuple[Backbone, StageSpec]],
    output: str | Path,
    *,
    half: bool = False,
) -> Path:
    """Write a folder of weights, whole or not at all.

    Args:
        autoencoder: The autoencoder.
        spec: Its spec.
        stages: The stages of a cascade that belong to this autoencoder, one for each level. Without a cascade, an empty
            list.
        output: Folder to create.
        half: Store the weights as float16, which halves the size and changes results in the last digits.

    Returns:
        The folder.

    Raises:
        WeightsError: If the folder already exists.
    """
    output = Path(output)
    if output.exists():
        raise WeightsError(f"{output} already exists. Remove this folder, or give another.")
    with new_folder(output) as folder:
        save_autoencoder(autoencoder, folder / AUTOENCODER, num_surface_points=spec.num_surface_points, half=half)
        for backbone, stage in stages:
            save_stage(backbone, stage, folder / stage_name(stage.level), half=half)
        config = {
            "format": FORMAT,
            # stages record the fingerprint before half precision changed it
            "autoencoder": stages[0][1].autoencoder if stages else fingerprint_of(autoencoder),
            "autoencoder_as_stored": fingerprint_of(load_autoencoder(folder / AUTOENCODER)[0]),
            "precision": "float16" if half else "float32",
            "architecture": spec.as_plain(),
            "category_names": stages[0][1].category_names if stages else [],
            "sha256": {path.name: sha256_of(path) for path in sorted(folder.iterdir())},
        }
        write_json(folder / CONFIG, config, indent=2, ensure_ascii=True)
        networks = [autoencoder, *(backbone for backbone, _ in stages)]
        parameters = sum(parameter.numel() for network in networks for parameter in network.parameters())
        write_text(folder / CARD, card_of(spec, [stage for _, stage in stages], parameters, half=half))
    return output


def card_of(spec: AutoencoderSpec, stages: Sequence[StageSpec], parameters: int, *, half: bool) -> str:
    """Return the model card of a folder of weights, as Markdown, with the metadata that the Hugging Face Hub reads.

    The model card says what is known from the weights. Their owner must add the training data, the licence and the
    scores.
    """
    title, call = "Autoencoder of 3D shapes", 'codec = lagem.load_codec("PATH")'
    if stages:
        title, call = "Cascade that generates 3D shapes", 'cascade = lagem.load_cascade("PATH")'
    rows = [
        f"| {number} | {level.num_latents} | {level.latent_dim} | {level.depth} | {level.bottleneck} |"
        for number, level in enumerate(spec.levels, start=1)
    ]
    names = ", ".join(name.replace("`", "'") for name in stages[0].category_names) if stages else ""
    categories = [f"- Categories: `{' '.join(names.split())}`"] if names else []
    lines = [
        "---",
        "library_name: lagem",
        "tags: [3d, shape-generation, lagem]" if stages else "tags: [3d, autoencoder, lagem]",
        "---",
        f"# {title}",
        "",
        "Made with lagem, an implementation of [LaGeM](https://arxiv.org/abs/2410.01295).",
        "",
        "| level | latents | channels | blocks | bottleneck |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"- Width {spec.width}, {spec.octaves} octaves; {parameters:,} parameters in all, stored as "
        f"float{16 if half else 32}.",
        f"- Surface points per shape in training: {spec.num_surface_points:,}.",
        *categories,
        "",
        "```python",
        "import lagem",
        "",
        f"{call}  # this folder, or hf://OWNER/NAME",
        "```",
        "",
        "Not stated yet: the training data, the licence, and the scores of these weights.",
        "",
    ]
    return "\n".join(lines)
