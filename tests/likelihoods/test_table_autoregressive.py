"""Rows of tables cell by cell: one joint density, whatever cells are missing, unseen or given."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Categorical

from helpers import assert_draws_follow_masses, build
from vaekit.batch import Batch
from vaekit.distributions.marginal import log_prob_observed
from vaekit.refusal import Refusal
from vaekit.spaces import Table
from vaekit.spaces.column import Column
from vaekit.spaces.symbols import Bins
from vaekit.written import Number

TOWN = Column("town", "categorical", ["Ulm", "Bonn", "Kiel"], unseen=0.1, nullable=True)
SMOKES = Column("smokes", "binary", ["no", "yes"], unseen=0.2)
CHILDREN = Column("children", "count", largest=2, unseen=0.3)
# half of the values are 0, the others between 0 and 1
SPENT = Column("spent", "real", quantiles=[0, 0, 0.5, 1], normals=[-4, 0, 1, 4], nullable=True)
DISCRETE = Table.of([TOWN, SMOKES, CHILDREN, Column("grade", "ordinal", ["1", "2", "3", "6"])])
MIXED = Table.of([TOWN, SPENT, CHILDREN])
WORDS = ("model=table_vae", "likelihood=table_autoregressive", "likelihood.width=8", "likelihood.bins=6")


def vae(space, *words, random=True):
    """A VAE whose cells depend on each other and on z."""
    made, _ = build(space, *WORDS, "network.hidden=[8]", "latents.dim=3", *words)
    if random:
        with torch.no_grad():
            for name in ("head", "bias"):
                weight = getattr(made.likelihood.conditionals, name)
                weight.copy_(torch.randn_like(weight))
    return made.double().eval()


def row(space, n=1):
    return vae(space).likelihood(torch.randn(n, 3, dtype=torch.float64)).base_dist


def rows(space, *choices):
    """x of every combination of these cells of the columns."""
    cells = [list(column) for column in zip(*itertools.product(*choices), strict=True)]
    return torch.from_numpy(space.encode(cells)[0]).double()


def of_column(space, name):
    return space.per_value(torch.tensor([column.name == name for column in space.ordered]))


EVERY = rows(DISCRETE, [*TOWN.categories, None], SMOKES.categories, "012", "1236")


def seen_only(space):
    """The same table, where unseen values have hardly any probability."""
    return Table.of([replace(column, unseen=1e-12) for column in space.columns])


def test_masses_of_all_rows_sum_to_one_and_draws_follow_them():
    assert_draws_follow_masses(row(seen_only(DISCRETE), 2), EVERY)


def test_densities_integrate_to_one_and_draws_follow_them():
    p = row(seen_only(MIXED))
    grid = torch.linspace(-9, 9, 9_001, dtype=torch.float64)
    whole = torch.zeros(())
    for x in rows(MIXED, [*TOWN.categories, None], ["0", None], "012"):
        wide = x.expand(len(grid), -1).clone()
        if x[1] == 0:  # spent is not missing: over all its values
            wide[:, 0] = grid
        density = p.log_prob(wide).exp()
        whole = whole + (density[0] if x[1] else torch.trapezoid(density, grid))
    assert whole.item() == pytest.approx(1, abs=3e-3)

    spent = of_column(MIXED, "spent")
    torch.manual_seed(0)
    drawn = p.sample((5000,))[:, 0]
    known = drawn[drawn[:, 1] == 0][:, 0]
    at = torch.linspace(-2, 2, 9, dtype=torch.float64)
    wide = torch.zeros(len(grid), MIXED.size, dtype=torch.float64)
    wide[:, 0] = grid
    density = p.log_prob_observed(wide, spent).exp()
    below = [torch.trapezoid(density[grid <= t], grid[grid <= t]) / torch.trapezoid(density, grid) for t in at]
    torch.testing.assert_close((known.unsqueeze(1) <= at).double().mean(0), torch.stack(below), atol=0.04, rtol=0)


def test_log_prob_is_the_chain_of_the_conditionals():
    p = row(DISCRETE, 5)
    x, log_p = p.sample(), torch.zeros(5, dtype=torch.float64)
    numbers = p.numbers(x)

    def pick(c, logits):
        log_p.add_(Categorical(logits=logits).log_prob(numbers[:, c]))
        return numbers[:, c]

    assert torch.equal(p.sample_sequentially(5, pick), numbers)
    seen = np.log([0.7, 0.8, 1 - 1e-6, 0.9])  # children, smokes, grade, town
    present = (x[:, DISCRETE.indicators] == 0).double()[:, 0]
    torch.testing.assert_close(p.log_prob(x), log_p + seen[:3].sum() + present * seen[3])


def test_a_column_is_conditioned_on_known_cells_before_it_alone():
    """By the gradient of its logits at the embeddings, where every symbol has a row."""
    p = row(DISCRETE)
    x = EVERY[:1]
    symbols = p.numbers(x)[0]

    def seen(observed):
        for c, logits in enumerate(p.logits(x, observed)):
            (gradient,) = torch.autograd.grad(logits.square().sum(), p.network.embedding, retain_graph=True)
            yield c, [part[s].any().item() for part, s in zip(gradient.split(p.network.sizes), symbols, strict=True)]

    observed = torch.ones_like(x, dtype=torch.bool)
    for c, others in seen(observed):
        assert others == [i < c for i in range(len(symbols))]
    for c, others in seen(observed & ~of_column(DISCRETE, "smokes")):
        assert others == [i < c and DISCRETE.ordered[i].name != "smokes" for i in range(len(symbols))]


def test_an_unknown_cell_is_left_out():
    p = row(MIXED, 4)
    x = rows(MIXED, ["Ulm", None], ["0.3", None], "0")
    observed = ~of_column(MIXED, "town")
    other = torch.where(observed, x, x.flip(0))
    torch.testing.assert_close(p.log_prob_observed(x, observed), p.log_prob_observed(other, observed))
    assert (p.log_prob(x) < p.log_prob_observed(x, observed)).all()


def test_unseen_values_have_the_remaining_probability():
    p = row(DISCRETE)

    def mass(name, cells):
        x = DISCRETE.encode([cells if c.name == name else [None] * len(cells) for c in DISCRETE.columns])[0]
        value = of_column(DISCRETE, name) & ~DISCRETE.indicators
        return p.log_prob_observed(torch.from_numpy(x).double(), value).exp()

    towns = mass("town", [*TOWN.categories, "Rome"])
    assert towns.sum().item() == pytest.approx(1) and towns[3].item() == pytest.approx(0.1)
    smokes = mass("smokes", ["no", "yes", "perhaps"])
    assert smokes.sum().item() == pytest.approx(1) and smokes[2].item() == pytest.approx(0.2)
    children = mass("children", [str(n) for n in range(-2000, 2001)])
    assert children[2000:2003].sum().item() == pytest.approx(0.7)
    assert children.sum().item() == pytest.approx(1, abs=1e-3)


def test_no_cell_is_conditioned_on_an_unseen_one():
    p = row(DISCRETE)
    x = rows(DISCRETE, ["Ulm"], ["perhaps"], "0", "1")
    smokes = of_column(DISCRETE, "smokes")
    each = torch.ones_like(x, dtype=torch.bool)
    expected = p.log_prob_observed(x, each & ~smokes) + np.log(0.2)
    torch.testing.assert_close(p.log_prob(x), expected)


def test_numbers_outside_the_file_are_less_likely_the_further_they_are():
    p = row(MIXED)
    x = MIXED.encode([["Ulm"] * 3, ["1", "1.5", "3"], ["0"] * 3])[0]
    log_p = p.log_prob(torch.from_numpy(x).double())
    assert log_p.isfinite().all() and log_p[0] > log_p[1] > log_p[2]


@pytest.mark.parametrize("name", [column.name for column in DISCRETE.columns])
def test_draws_given_any_cells_keep_them(name):
    p = row(DISCRETE, len(EVERY))
    known = of_column(DISCRETE, name)
    drawn, log_p = p.sample_given(EVERY, known.expand_as(EVERY))
    assert torch.equal(drawn[:, known], EVERY[:, known])
    DISCRETE.check(drawn.float())
    torch.testing.assert_close(log_p, p.log_prob_observed(EVERY, known))


def test_a_cell_known_to_be_there_gets_a_value():
    p, indicators = row(MIXED, 200), MIXED.indicators
    x = torch.zeros(200, MIXED.size, dtype=torch.float64)
    drawn, _ = p.sample_given(x, indicators.expand_as(x))
    assert (drawn[:, indicators] == 0).all() and (drawn[:, of_column(MIXED, "town")].sum(1) == 1).all()
    x[:, indicators] = 1  # a missing cell is imputed as one that is there
    drawn, _, _ = p.impute(x, indicators.expand_as(x), torch.zeros_like(x, dtype=torch.bool))
    assert (drawn[:, indicators] == 1).all() and (drawn[:, of_column(MIXED, "town")].sum(1) == 2).all()
    free, _ = p.sample_given(x, torch.zeros_like(x, dtype=torch.bool))
    assert 0 < free[:, indicators].mean() < 1


@pytest.mark.long
def test_trained_draws_follow_the_data_given_any_cells():
    """c is a XOR b: each of them follows from the others, in any order."""
    space = Table.of([Column(name, "binary", ["0", "1"]) for name in "abc"])
    made, objective = build(space, *WORDS, "network.hidden=[8]", "latents.dim=2", "likelihood.dropout=0")
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(150):
        a, b = torch.randint(2, (2, 256))
        loss = objective(made(Batch(torch.stack([a, b, a ^ b], 1).float()), 1), None).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made.eval()
    x = torch.tensor([[*bits, bits[0] ^ bits[1]] for bits in itertools.product((0, 1), repeat=2)]).float()
    p = made.likelihood(torch.randn(500, 4, 2)).base_dist
    for column in range(3):
        drawn, _ = p.sample_given(x, (torch.arange(3) != column).expand_as(x))
        assert (drawn == x).all(-1).float().mean() > 0.97


def test_in_training_half_of_the_rows_have_a_random_order():
    made, x = vae(DISCRETE, "likelihood.dropout=0"), EVERY[:1].expand(64, -1)
    state = torch.zeros(64, 3, dtype=torch.float64)
    fixed = made.likelihood(state).log_prob(x)
    assert fixed.unique().numel() == 1
    log_p = made.train().likelihood(state).log_prob(x)
    assert 0.3 < (log_p - fixed).abs().lt(1e-9).double().mean() < 0.7
    assert log_p.unique().numel() > 8


def test_starts_at_the_frequencies_of_the_data():
    likelihood = vae(DISCRETE, random=False).likelihood
    x = EVERY[torch.tensor([0, 0, 0, 1, 30, 60, 95, 95])]
    likelihood.start_from(SimpleNamespace(mean=lambda: x.mean(0)))
    p = likelihood(torch.zeros(1, 3, dtype=torch.float64)).base_dist
    mean = x.mean(0)
    for name in ("smokes", "grade"):
        of = of_column(DISCRETE, name)
        torch.testing.assert_close(p.mean[0, of], mean[of], atol=1e-3, rtol=0)
    count = of_column(DISCRETE, "children")
    assert p.mean[0, count].item() == pytest.approx(mean[count].item(), abs=0.4)


def test_a_frequent_number_is_drawn_as_often_as_it_occurs_and_exactly():
    values = np.concatenate([np.zeros(600), np.full(50, 99999.0), np.random.default_rng(0).uniform(1, 5000, 350)])
    column = Column.from_values("gain", "real", values.round(2), Number(2, 2))
    bins = Bins(column, 10)
    symbols = bins(torch.from_numpy(column.encode([f"{each:.2f}" for each in values])[0]))
    masses = bins.edges.diff()
    assert masses[0].item() == pytest.approx(0.6, abs=1e-3) and masses[-1].item() == pytest.approx(0.05, abs=1e-3)
    assert ((symbols == 0).numpy() == (values == 0)).all()
    assert ((symbols == bins.values - 1).numpy() == (values == 99999)).all()
    for symbol, cell in ((0, "0.00"), (bins.values - 1, "99999.00")):
        levels = torch.rand(1000)
        assert set(column.decode(bins.cells(torch.full((1000,), symbol), levels).numpy())) == {cell}


def test_near_bins_are_alike_and_a_frequent_number_is_not_like_those_next_to_it():
    bins = Bins(Column("x", "real", quantiles=[0, 1, 1, 2], normals=[-4, -0.1, 0.1, 4]), 100)
    frequent = int(bins.frequent.nonzero())
    assert bins.frequent.sum() == 1 and bins.values == 101, "the rest of the probability has all of the bins"
    like = torch.nn.functional.normalize(bins.features(), dim=1)
    like = like @ like.T
    assert like[10, 11] > 0.9 and like[10, 11] > like[10, 13] > like[10, 20]
    assert like[frequent, frequent + 1] < 0.8


def test_rows_with_holes_train_and_are_scored():
    made, x = vae(MIXED), rows(MIXED, ["Ulm", None], ["0.3", None], "01")
    mask = (~of_column(MIXED, "children")).expand_as(x).double()
    terms = made(Batch(x, mask=mask), 2)
    expected = log_prob_observed(terms.px, x, mask.bool())
    torch.testing.assert_close(terms.log_px, expected)
    terms.log_px.sum().backward()
    assert all(p.grad.isfinite().all() for p in made.parameters() if p.grad is not None)


def test_a_factorized_likelihood_leaves_out_the_same_values():
    made, _ = build(MIXED, "model=table_vae", "likelihood=table", "network.hidden=[8]", "latents.dim=3")
    px, x = made.likelihood(torch.randn(6, 3)), rows(MIXED, ["Ulm", None], ["0.3", None, "0"], "1").float()
    observed = torch.rand(x.shape) < 0.5
    torch.testing.assert_close(log_prob_observed(px, x, observed), (px.base_dist.log_prob(x) * observed).sum(-1))


def test_sizes_below_one_are_refused():
    with pytest.raises(Refusal, match=r"likelihood.bins=0"):
        vae(MIXED, "likelihood.bins=0")
