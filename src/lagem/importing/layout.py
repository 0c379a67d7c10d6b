"""Layouts of npz files. A layout names the arrays of points and labels, and says how to interpret them.

The two published layouts are defined here. A user describes any other layout in a small YAML file, whose keys are the
fields of `Layout`.
"""

from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from lagem.configuration.yaml_text import read_yaml
from lagem.geometry.frame import Up

YAML_ENDINGS = (".yaml", ".yml")
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of npz files with one shape each.

    A field whose description gives a size, such as (N, 3), is the name of an array.

    Args:
        surface: Points on the surface, (N, 3).
        volume_points: Queries in the volume, (V, 3), or (V, 4) with the labels in the last column.
        near_points: Queries near the surface, (Q, 3), or (Q, 4).
        frame: `sphere` if the largest norm of the shape is 1, and the volume queries are uniform in the ball of radius
            sqrt(3); `box` if the volume queries are uniform in some box around the shape. For `box`, the import scales
            the shape into the unit sphere.
        sign: `occupancy` if a label is 1 inside and 0 outside; `negative_inside` or `positive_inside` if labels are
            signed distances from the surface; the name gives the sign inside.
        volume_labels: Labels of the volume queries, (V,); None if they are the last column of `volume_points`.
        near_labels: Labels of the near queries, (Q,); None if they are the last column of `near_points`.
        normals: Normals of the surface, (N, 3), pointing out; None to estimate them.
        dtype: Type that the points must have in every file; None for any floating-point type.
        label_dtype: Type that the labels must have in every file; `bits` if `numpy.packbits` packed them. None for any.
        truncation: The value to which larger absolute distances are clamped, in the unit of the points; None if they
            are not clamped.
        center: Centre of the sampled mesh, (3,). With `scale`, it maps the mesh to the points:
            point = (mesh - center) * scale.
        scale: Scale of the sampled mesh, (1,) or (); see `center`.
        up: The axis that points up; None if it is not known.
    """

    surface: str
    volume_points: str
    near_points: str
    frame: Literal["sphere", "box"]
    sign: Literal["occupancy", "negative_inside", "positive_inside"]
    volume_labels: str | None = None
    near_labels: str | None = None
    normals: str | None = None
    dtype: Literal["float16", "float32", "float64"] | None = None
    label_dtype: Literal["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64", "bits"] | None = (
        None
    )
    truncation: float | None = None
    center: str | None = None
    scale: str | None = None
    up: Up | None = None

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Layout).items():
            _check(name, getattr(self, name), kind)
        if self.truncation is not None and (self.sign == "occupancy" or not 0 < self.truncation < float("inf")):
            raise ValueError("truncation must be a positive number, and cannot be given if sign is occupancy.")
        if (self.volume_labels is None or self.near_labels is None) and self.label_dtype is not None:
            raise ValueError("label_dtype needs both volume_labels and near_labels.")
        if self.label_dtype == "bits" and self.sign != "occupancy":
            raise ValueError("label_dtype is bits, but only occupancies can be packed.")
        if (self.center is None) != (self.scale is None):
            raise ValueError("center and scale must both be given, or neither.")

    @classmethod
    def read(cls, path: Path) -> "Layout":
        """Read a layout from a YAML file; raises ValueError, in one line, if a key or a value is wrong."""
        values: dict[Any, Any] = read_yaml(path, dict)
        known = {field.name: field.default is MISSING for field in fields(cls)}
        if unknown := [str(name) for name in values if name not in known]:
            raise ValueError(f"{path}: {unknown[0]!r:.100} is not a key of a layout; use {', '.join(known)}.")
        if missing := [name for name, is_needed in known.items() if is_needed and name not in values]:
            raise ValueError(f"{path}: lacks {', '.join(missing)}; add these keys.")
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def description(self) -> dict[str, Any]:
        """Return the fields that are set, in plain types."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _check(name: str, value: object, kind: Any) -> None:
    options = [option for option in get_args(kind) if option is not type(None)] if type(None) in get_args(kind) else []
    if options and value is None:
        return
    plain = options[0] if options else kind
    choices = get_args(plain)
    if choices:
        if not (isinstance(value, str) and value in choices):
            raise ValueError(f"{name} is {value!r:.100}, but must be one of {', '.join(choices)}.")
    elif plain is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is {value!r:.100}, but must be a number.")
    elif not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise ValueError(f"{name} is {value!r:.100}, but must be the name of an array.")


# 3DILG and 3DShape2VecSet: the surface, and the scale that maps it to the queries, are in separate files
VECSET = Layout(
    surface="points",
    volume_points="vol_points",
    volume_labels="vol_label",
    near_points="near_points",
    near_labels="near_label",
    frame="box",
    sign="occupancy",
    up="y",
)
LAGEM = Layout(
    surface="surface_points",
    volume_points="vol_points",
    volume_labels="vol_sdf",
    near_points="near_points",
    near_labels="near_sdf",
    frame="sphere",
    sign="negative_inside",
    center="shifts",
    scale="scale",
    up="y",
)
PUBLISHED = {"vecset": VECSET, "lagem": LAGEM}
