"""A table's likelihood: a marginal for each kind of column."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import SMALL, TABLE, build, examples
from vaekit.spaces import Table
from vaekit.spaces.column import Column


def likelihood():
    return build(TABLE, "model=table_vae", "likelihood=table", *SMALL)[0].likelihood.double()


def test_probabilities_of_all_cells_together_sum_to_one():
    px = likelihood()(torch.randn(1, 3, dtype=torch.float64))
    grid = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    cells = itertools.product(("Ulm", "Bonn", "Kiel"), map(str, range(60)), ("no", "yes"), ("1", "2", "3", "6"))
    town, children, smokes, grade = zip(*cells, strict=True)
    x = torch.from_numpy(TABLE.encode([town, ["1.5"] * len(town), children, smokes, grade])[0]).double()
    of_real = px.base_dist.log_prob(grid[:, None, None].expand(-1, 1, TABLE.size))[..., 0].exp()
    height = torch.trapezoid(of_real, grid, dim=0)
    others = (px.log_prob(x[:, None]) - px.base_dist.log_prob(x[:, None])[..., 0]).exp().sum(0)
    torch.testing.assert_close(height, torch.ones_like(height))
    torch.testing.assert_close(others, torch.ones_like(others), atol=1e-4, rtol=0)


def test_unseen_values_have_the_remaining_probability():
    columns = [
        Column("town", "categorical", ["Ulm", "Bonn", "Kiel"], unseen=0.1),
        Column("smokes", "binary", ["no", "yes"], unseen=0.2),
        Column("children", "count", largest=4, unseen=0.3),
    ]
    space = Table.of(columns)
    torch.manual_seed(0)
    px = build(space, "model=table_vae", "likelihood=table", *SMALL)[0].likelihood.double()(torch.randn(1, 3).double())

    def mass(name, cells):
        x = space.encode([cells if column.name == name else [None] * len(cells) for column in columns])[0]
        each = px.base_dist.log_prob(torch.from_numpy(x).double()[:, None])[:, 0]
        of = torch.tensor([column.name == name for column in space.ordered])
        return (each * space.per_value(of)).sum(-1).exp()

    towns = mass("town", ["Ulm", "Bonn", "Kiel", "Rome"])
    assert towns.sum().item() == pytest.approx(1) and towns[3].item() == pytest.approx(0.1)
    smokes = mass("smokes", ["no", "yes", "perhaps"])
    assert smokes.sum().item() == pytest.approx(1) and smokes[2].item() == pytest.approx(0.2)
    children = mass("children", [str(n) for n in range(-2000, 2001)])
    assert children[2000:2005].sum().item() == pytest.approx(0.7)
    assert children.sum().item() == pytest.approx(1, abs=1e-3)
    assert (px.sample((1000,))[..., 0].expm1() < 4.01).all()


@pytest.mark.parametrize("kind", ["categorical", "binary", "count"])
def test_the_missingness_of_a_cell_has_its_own_probability(kind):
    categories = {"categorical": ["a", "b", "c"], "binary": ["a", "b"]}.get(kind, [])
    columns = [
        Column("x", kind, categories, largest=6, nullable=True),
        Column("y", "real", quantiles=[0.0, 1.0], normals=[-2.0, 2.0], nullable=True),
        Column("z", "categorical", ["d", "e"]),
    ]
    space = Table.of(columns)
    torch.manual_seed(0)
    px = build(space, "model=table_vae", "likelihood=table", *SMALL)[0].likelihood.double()(torch.randn(1, 3).double())
    cells = [*(categories or map(str, range(7))), None]
    x, mask = map(torch.from_numpy, space.encode([cells, ["0.5"] * len(cells), ["d"] * len(cells)]))
    each = px.base_dist.log_prob(x.double()[:, None])[:, 0] * mask
    of = space.per_value(torch.tensor([column.name == "x" for column in space.ordered]))
    mass = (each * of).sum(-1).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-5) and (mass > 0).all()
    draws = px.sample((4000,))[:, 0]
    space.check(draws.float())
    missing = [cell == "" for cell in space.decode(draws.float())[0]]
    assert np.mean(missing) == pytest.approx(mass[-1].item(), abs=0.03)
    assert (space.clear_missing(draws)[missing][:, of & ~space.indicators] == 0).all()


def test_draws_are_as_frequent_as_their_probability_says():
    px = likelihood()(torch.randn(1, 3, dtype=torch.float64))
    torch.manual_seed(0)
    x = px.sample((20_000,))[:, 0]
    TABLE.check(x.float())
    counts = TABLE.sizes[0]
    expected = px.mean[0].clone()
    expected[counts] = expected[counts].expm1()  # log(1 + the mean), not the mean of log(1 + n)
    x[:, counts] = x[:, counts].expm1()
    torch.testing.assert_close(x.mean(0), expected, atol=0.05, rtol=0.03)


def test_starts_at_the_frequencies_of_the_data():
    each = likelihood()
    mean = examples(TABLE, 200, dtype=torch.float64).x.mean(0)
    each.start_from(SimpleNamespace(mean=lambda: mean))
    bias = each.bias
    torch.testing.assert_close(each.distribution(*bias).mean, mean, atol=1e-6, rtol=0)


def test_a_missing_cell_has_no_loss_and_no_gradient():
    vae, _ = build(TABLE, "model=table_vae", "likelihood=table", *SMALL)
    batch = examples(TABLE, 4)
    missing = TABLE.ordered.index(next(each for each in TABLE.columns if each.name == "town"))
    observed = torch.ones(4, len(TABLE.columns))
    observed[:, missing] = 0
    batch.mask = TABLE.per_value(observed)
    batch.x = batch.x * batch.mask
    vae.zero_grad()
    terms = vae(batch, 1)
    terms.log_px.sum().backward()
    hidden = vae.likelihood.bias.grad[0][~batch.mask[0].bool()]
    assert len(hidden) == 3 and (hidden == 0).all()
    assert (vae.likelihood.bias.grad[0][batch.mask[0].bool()] != 0).all()
