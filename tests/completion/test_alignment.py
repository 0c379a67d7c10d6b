"""A whole shape is aligned correctly with a cloud of points that shows a part of it."""

import numpy as np
import pytest

from lagem.completion.alignment import WholeSurface
from lagem.embeddings.partial import SHARE, partial_cloud
from lagem.geometry.frame import Frame
from lagem.procedural.surfaces import ProceduralSurfaces

SHAPES = ProceduralSurfaces(num_train=0, num_val=8, seed=0)


@pytest.mark.parametrize("index", range(8), ids=SHAPES.categories)
def test_a_shape_is_found_where_its_part_was_seen(index):
    rng = np.random.default_rng(index)
    points, seen, _ = partial_cloud(SHAPES, index, 512, rng)
    seen_points = points[seen][:512]
    part = Frame.of(seen_points)
    whole = WholeSurface(SHAPES.draw(index, 4_096, rng), share=SHARE)
    fit = whole.fit(part.to_unit(seen_points))
    assert fit.distance < 0.03
    assert fit.frame.to_unit(part.to_unit(seen_points)) == pytest.approx(seen_points, abs=0.1)


def test_refinement_makes_the_fit_better_than_any_first_guess():
    rng = np.random.default_rng(0)
    points, seen, _ = partial_cloud(SHAPES, 2, 512, rng)
    whole = WholeSurface(SHAPES.draw(2, 4_096, rng), share=SHARE)
    cloud = Frame.of(points[seen]).to_unit(points[seen])[:512]
    assert whole.fit(cloud).distance < whole.rough_distance(cloud)
