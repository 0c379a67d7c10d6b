"""Extraction that evaluates the field only near the surface gives the same mesh as extraction from the dense grid."""

import tracemalloc

import numpy as np
import pytest
import torch

from lagem.geometry.boundary import parts_of
from lagem.geometry.extraction import sparse
from lagem.geometry.extraction.audit import BUDGET, audit
from lagem.geometry.extraction.cubes import marching_cubes, marching_cubes_of_cells
from lagem.geometry.extraction.key_index import KeyIndex
from lagem.geometry.extraction.levels import OCTANTS, is_crossed, keys_of
from lagem.geometry.surface import extract_surface


def ball(centre, radius):
    return lambda points: radius - (points - torch.tensor(centre)).norm(dim=-1)


def torus(points):
    ring = points[:, :2].norm(dim=-1) - 0.6
    return 0.15 - torch.stack([ring, points[:, 2]], dim=-1).norm(dim=-1)


def plate(points):
    """The field of an oblique plate that is thinner than a cell of the coarsest grid."""
    normal = torch.tensor([0.36, 0.48, 0.8], dtype=points.dtype)
    return torch.minimum(0.012 - (points @ normal).abs(), 0.7 - points.norm(dim=-1))


def union(*fields):
    return lambda points: torch.stack([field(points) for field in fields]).amax(dim=0)


def step(field):
    """Return a field with the same signs and the values 1 and -1, which do not show how near the surface is."""
    return lambda points: torch.where(field(points) > 0, 1.0, -1.0)


FAR_BALLS = union(ball((-0.6, -0.6, -0.6), 0.1), ball((0.6, 0.6, 0.6), 0.2))
FIELDS = {
    "sphere": ball((0.1, 0.2, 0.3), 0.5),
    "torus": torus,
    "plate": plate,
    "two balls": FAR_BALLS,
    "at one face": ball((0.8, 0.0, 0.1), 0.5),
    "at a corner": ball((0.9, -0.9, 0.95), 0.4),
    "hole in a full cube": lambda points: -ball((0.1, 0.2, 0.3), 0.5)(points),
    "step": step(torus),
}


def assert_equal(one, other):
    np.testing.assert_array_equal(one.faces, other.faces)
    np.testing.assert_array_equal(one.vertices, other.vertices)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("resolution", [64, 72, 100])
def test_sparse_mesh_is_the_dense_one_byte_for_byte(name, resolution):
    def field(points):  # rounded from float64, so that a logit does not depend on the other points
        return FIELDS[name](points.double()).float()

    fast = extract_surface(field, resolution=resolution, coarsest=16)
    assert fast.audit is not None
    assert_equal(fast, extract_surface(field, resolution=resolution, method="dense"))


FLOATER = (0.03125 * 3, 0.53125, -0.40625)  # in the middle of a cell of the coarsest grid of 32
SEEN_BY_SEEDS = step(union(ball((-0.3, 0.0, 0.0), 0.4), ball(FLOATER, 0.025)))


def test_floater_smaller_than_a_coarse_cell_is_found_by_its_points(monkeypatch):
    monkeypatch.setattr("lagem.geometry.extraction.audit.BUDGET", 0.0)
    monkeypatch.setattr(sparse, "COARSE_MARGIN", 0.4)  # so that ±1 is not near 0
    dense = extract_surface(SEEN_BY_SEEDS, resolution=128, method="dense")
    assert len(np.unique(parts_of(dense))) == 2
    assert len(np.unique(parts_of(extract_surface(SEEN_BY_SEEDS, resolution=128, coarsest=32)))) == 1
    seeds = np.array([FLOATER, FLOATER])
    assert_equal(extract_surface(SEEN_BY_SEEDS, resolution=128, seeds=seeds), dense)
    assert_equal(extract_surface(SEEN_BY_SEEDS, resolution=128, seeds=torch.from_numpy(seeds)), dense)


@pytest.mark.parametrize("seeds", [np.zeros(3), np.zeros((4, 2)), np.full((1, 3), np.nan)])
def test_unusable_seeds_say_so(seeds):
    with pytest.raises(ValueError, match="seeds must be finite points"):
        extract_surface(torus, resolution=64, seeds=seeds)


def test_seeds_outside_the_cube_count_to_its_border():
    seeds = np.array([[7.0, 0.0, 0.0], [-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert_equal(extract_surface(torus, resolution=64, seeds=seeds), extract_surface(torus, resolution=64))


def test_audit_finds_hidden_parts_in_95_of_100_trials(monkeypatch):
    """A small ball touches at least 27 cells of the finest grid, but contains no node of the coarsest grid."""
    monkeypatch.setattr(sparse, "MARGIN", 0.0)
    monkeypatch.setattr(sparse, "COARSE_MARGIN", 0.0)
    rng, found, resolution = np.random.default_rng(0), 0, 64
    nodes = np.indices((9,) * 3).reshape(3, -1).T - 4
    for _ in range(100):
        while True:  # a small ball in a coarse cell of 4 x 4 x 4, apart from the large one
            low = rng.integers(0, 16, 3)
            centre = -1 + (4 * low + rng.uniform(1.4, 2.6, 3)) / 32
            inside = np.linalg.norm(-1 + (4 * low + 2 + nodes) / 32 - centre, axis=1) < 1.3 / 32
            cells = {tuple(node - octant) for node in nodes[inside] for octant in OCTANTS}
            if np.linalg.norm(centre - 0.3) > 0.7 and len(cells) >= 27:
                break
        field = union(ball((0.3, 0.3, 0.3), 0.5), ball(tuple(centre), 1.3 / 32))
        start = extract_surface(field, resolution=resolution, coarsest=16)
        assert start.audit is not None
        found += start.audit.found > 0
    assert found >= 95


def counted_grid(field, cells, doublings):
    asked = []

    def ask(nodes, side):
        asked.append(len(nodes))
        return field(torch.from_numpy((-1 + 2 * nodes / side).astype(np.float32))).numpy()

    base = ask(np.indices((cells + 1,) * 3).reshape(3, -1).T, cells).reshape((cells + 1,) * 3)
    grid = sparse.SparseGrid(base, doublings, ask)
    grid.follow_sign_changes()
    return grid, ask, asked


def test_audit_asks_within_its_budget_and_its_bound_shrinks_with_it(monkeypatch):
    bounds = []
    for budget in (BUDGET / 4, BUDGET):
        monkeypatch.setattr("lagem.geometry.extraction.audit.BUDGET", budget)
        grid, ask, asked = counted_grid(step(torus), 16, 2)
        before = sum(asked)
        report = audit(grid, lambda nodes, ask=ask: ask(nodes, 64), before, np.random.default_rng(0))
        assert report.found == 0 and report.probes == sum(asked) - before <= budget * before
        bounds.append(report.missed / report.skipped)
        assert f"fewer than {report.missed} of {report.skipped} skipped cells" in str(report)
    assert 0 < bounds[1] < bounds[0] < 0.2


def test_bound_holds_for_parts_hidden_at_random():
    """Random nodes of the finer grid get a wrong sign; the bound on missed cells holds in at least 95 of 100 trials."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        flipped = rng.random((33, 33, 33)) < rng.choice([1e-4, 1e-3, 1e-2])
        flipped[::2, ::2, ::2] = False  # the nodes of the coarsest grid show only a ball

        def field(points, flipped=flipped):
            node = torch.round((points + 1) * 16).long().numpy()
            sign = torch.where(ball((0.0, 0.0, 0.0), 0.5)(points) > 0, 1.0, -1.0)
            return torch.where(torch.from_numpy(flipped[tuple(node.T)]), -sign, sign)

        grid, ask, asked = counted_grid(field, 16, 1)
        report = audit(grid, lambda nodes, ask=ask: ask(nodes, 32), sum(asked), rng)
        middles = np.indices((16,) * 3).reshape(3, -1).T
        skipped = ~grid.levels[0].is_refined(keys_of(middles, 16))
        missed = flipped[tuple(2 * middles[skipped].T + 1)].sum()
        held += missed == 0 or missed < report.missed
    assert held >= 95


def test_start_becomes_denser_if_the_audit_finds_much():
    lattice = step(union(ball((0.0, 0.0, 0.0), 0.3), lambda p: 0.03 - ((p * 8 - 0.5) % 1 - 0.5).norm(dim=-1) / 8))
    fast = extract_surface(lattice, resolution=64, coarsest=16)
    assert fast.audit is not None and fast.audit.found > 0
    assert_equal(fast, extract_surface(lattice, resolution=64, method="dense"))


def test_memory_grows_with_the_surface_and_not_with_the_cube():
    peaks = []
    for resolution in (64, 128, 256):
        tracemalloc.start()
        mesh = extract_surface(ball((0.1, 0.0, 0.0), 0.6), resolution=resolution, coarsest=32)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 5 * peaks[1]  # the surface grows by 4, the cube by 8
    assert peaks[2] < 1000 * len(mesh.faces)


def test_marching_cubes_of_crossed_cells_is_pymcubes():
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(14, 14, 14)).astype(np.float32).astype(np.float64)
    volume[3, 4, 5] = 0.0
    border = np.ones(volume.shape, dtype=bool)
    border[1:-1, 1:-1, 1:-1] = False
    volume[border] = -1
    cells = np.indices((13, 13, 13)).reshape(3, -1).T
    corners = np.stack([volume[tuple((cells + octant).T)] for octant in OCTANTS], axis=1)
    crossed = is_crossed(corners)
    found = marching_cubes_of_cells(keys_of(cells[crossed], 13), corners[crossed], 14)
    for one, other in zip(found, marching_cubes(volume), strict=True):
        np.testing.assert_array_equal(one, other)


def test_keys_are_numbered_as_a_dictionary_numbers_them():
    rng, index, numbers = np.random.default_rng(0), KeyIndex(), {}
    for size in (50, 3, 0, 40, 7, 1, 1, 200):
        new = np.array(sorted(set(rng.integers(0, 1000, size).tolist()) - set(numbers)), dtype=np.int64)
        index.add(new)
        numbers.update({key: len(numbers) + place for place, key in enumerate(new.tolist())})
        asked = rng.integers(-5, 1005, (30, 2))
        assert index.find(asked).tolist() == [[numbers.get(key, -1) for key in row] for row in asked.tolist()]
    assert index.count == len(numbers)
