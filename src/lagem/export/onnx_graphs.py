"""An autoencoder as three ONNX graphs: encoder, decoder, and the field that answers query points.

`encoder.onnx` maps points to latents; it includes furthest point sampling. `decoder.onnx`, which runs once per shape,
maps latents to folded levels: arrays into which the weights of the query decoder are already multiplied
(`lagem.models.queries.decoder`). `field.onnx` maps query points and folded levels to logits, as often as needed. The
graphs accept any number of shapes, points and queries.

Letters: B shapes, N points, P queries, L levels, M_i latents of level i with D_i channels, H heads,
E = 6 * octaves + 4.
"""

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor, nn

from lagem.models.autoencoder import Autoencoder
from lagem.models.embedding import centred_weight, point_features
from lagem.models.queries.decoder import FoldedLevel, QueryDecoder, attended
from lagem.models.queries.field import Field
from lagem.storage.atomic import new_folder, write_bytes
from lagem.weights.autoencoder import load_autoencoder

OPSET = 18
POINTS, QUERIES = 64, 16  # sizes of the example that is traced; the graphs accept any other sizes


def export_onnx(weights: str | Path, output: str | Path) -> Path:
    """Write `encoder.onnx`, `decoder.onnx` and `field.onnx` to a new folder, all or none.

    The inputs and outputs are float32: `points` (B, N, 3) in the unit sphere; `level_i` (B, M_i, D_i), the latents;
    `rows_i` (B, H, M_i, E + 1) and `values_i` (B, H, M_i), the folded levels, which `decoder.onnx` passes to
    `field.onnx`; `queries` (B, P, 3) and `logits` (B, P), positive inside.

    Args:
        weights: Name or path of the autoencoder, as `load_codec` takes it.
        output: Folder to create.

    Returns:
        The folder.

    Raises:
        ValueError: If the weights cannot be read, the folder exists, or the package onnx is missing.
    """
    output = Path(output)
    if output.exists():
        raise ValueError(f"{output} already exists. Remove this folder, or give another.")
    try:
        import onnx  # noqa: F401  # torch writes graphs with it
    except ImportError:
        raise ValueError("exporting needs the package onnx; run `pip install 'lagem[onnx]'`.") from None
    given, spec = load_autoencoder(weights)
    autoencoder = spec.autoencoder(fps="torch", step="plain").eval()
    autoencoder.load_state_dict(given.state_dict())
    levels = [f"level_{number}" for number in range(1, len(spec.levels) + 1)]
    folded = [f"{part}_{number}" for number in range(1, len(levels) + 1) for part in ("rows", "values")]
    with new_folder(output) as folder, torch.no_grad():
        points, queries = torch.rand(1, POINTS, 3) - 0.5, torch.rand(1, QUERIES, 3) - 0.5
        encoder, decoder = _Encoder(autoencoder), _Decoder(autoencoder)
        latents = encoder(points)
        rows_and_values = decoder(*latents)
        field = _Field(autoencoder.query_decoder, _folded(autoencoder.decode(latents, fold=False)))
        encoded = _graph(encoder, [points], ["points"], levels)
        decoded = _graph(decoder, latents, levels, folded)
        answered = _graph(field, [queries, *rows_and_values], ["queries", *folded], ["logits"])
        for name, graph in (("encoder", encoded), ("decoder", decoded), ("field", answered)):
            write_bytes(folder / f"{name}.onnx", graph)
    return output


class _Encoder(nn.Module):
    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.num_anchors = autoencoder.levels[0].num_latents

    def forward(self, points: Tensor) -> tuple[Tensor, ...]:
        anchors = _furthest_points(points, self.num_anchors)
        return tuple(self.autoencoder.encode(points, anchor_indices=anchors))


class _Decoder(nn.Module):
    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, *latents: Tensor) -> tuple[Tensor, ...]:
        levels = _folded(self.autoencoder.decode(latents, fold=False))
        return tuple(part for level in levels for part in (level.rows, level.values))


class _Field(nn.Module):
    def __init__(self, decoder: QueryDecoder, levels: Sequence[FoldedLevel]) -> None:
        super().__init__()
        self.embedding, self.eps = decoder.embedding, decoder.eps
        # the same for all shapes
        self.constant = nn.Parameter(decoder.to_logits.bias + sum(level.constant for level in levels))

    def forward(self, queries: Tensor, *folded: Tensor) -> Tensor:
        psi, _ = point_features(self.embedding, queries, self.eps)
        logits: Tensor = self.constant
        for rows, values in zip(folded[::2], folded[1::2], strict=True):
            logits = logits + attended(psi, rows, values)
        return logits


def _folded(field: Field) -> list[FoldedLevel]:
    return field.decoder.fold(field.keys_values, centred_weight(field.decoder.embedding, torch.float32))


@torch.jit.script
def _furthest_points(points: Tensor, count: int) -> Tensor:
    """Return (B, count) indices of points, in the order of `furthest_point_order`.

    The function is scripted, so that the graph contains its loop.
    """
    distinct = min(count, points.shape[1])
    latest = (points * points).sum(-1).argmax(dim=1, keepdim=True)
    order = latest.expand(-1, count).clone()
    distance = torch.full_like(points[:, :, 0], float("inf"))
    for step in range(1, distinct):
        offset = points - points.gather(1, latest.unsqueeze(-1).expand(-1, -1, 3))
        distance = torch.minimum(distance, (offset * offset).sum(-1))
        latest = distance.argmax(dim=1, keepdim=True)
        order = order.scatter(1, torch.full_like(latest, step), latest)
    return order.gather(1, (torch.arange(count) % distinct).unsqueeze(0).expand(order.shape[0], -1))


def _graph(module: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], results: Sequence[str]) -> bytes:
    """Trace a module, and return its ONNX graph as bytes.

    The graph accepts any number of shapes (first axis of each array), and of points and queries (second axis).
    """
    free = {name: {0: "shapes"} for name in (*names, *results)}
    for name in {"points", "queries", "logits"} & free.keys():
        free[name][1] = "queries" if name == "logits" else name
    content = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's newer exporter cannot write the loop of furthest point sampling
        torch.onnx.export(
            module.eval(),
            tuple(inputs),
            content,  # type: ignore[arg-type]
            input_names=list(names),
            output_names=list(results),
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
    return content.getvalue()
