"""The code of each distribution: lossless, and as large as its probability predicts."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
)

from vaekit.distributions.categorical_bins import CategoricalBins
from vaekit.distributions.codes import WIDTH, alphabet_of, code
from vaekit.distributions.discretized_logistic import DiscretizedLogistic
from vaekit.distributions.logistic_mixture import LogisticMixture
from vaekit.entropy_coder import new_coder
from vaekit.refusal import Refusal

N = 60


def normal(*shape, spread=1.0):
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def logistic(levels, *shape):
    return DiscretizedLogistic(0.5 + normal(*shape, spread=0.3), normal(*shape).exp() / 10, levels)


def logistic_mixture(channels):
    maps = (channels * (channels - 1) // 2, 4, 4)
    params = normal(N, 3, 4, 4), 0.5 + normal(N, 3, channels, 4, 4) / 3, normal(N, 3, channels, 4, 4).exp() / 10
    return LogisticMixture(*params, normal(N, 3, *maps).tanh(), 256)


DISCRETE = {
    "bernoulli": (Bernoulli(logits=normal(N, 20, spread=3.0)), 2),
    "one sure pixel": (Bernoulli(logits=torch.full((N, 20), -40.0, dtype=torch.float64)), 2),
    "categorical": (Categorical(logits=normal(N, 20, 7)), 7),
    "levels": (CategoricalBins(normal(N, 20, 256, spread=2.0)), 256),
    "logistic 2": (logistic(2, N, 1, 5, 5), 2),
    "logistic 17": (logistic(17, N, 1, 5, 5), 17),
    "logistic 256": (logistic(256, N, 3, 5, 5), 256),
    "logistic 1000": (logistic(1000, N, 3, 5, 5), 1000),
    "mixture gray": (logistic_mixture(1), 256),
    "mixture color": (logistic_mixture(3), 256),
}


def fresh_coder():
    return new_coder(np.random.default_rng(0).integers(1, 2**32, 5000, dtype=np.uint32))


def round_trip(coded, symbols):
    """The bits that symbols take, which must come back and leave the stack as it was."""
    coder = fresh_coder()
    before = coder.get_compressed()
    coded.push(coder, symbols)
    bits = coder.num_valid_bits() - 32 * len(before)
    assert torch.equal(coded.pop(coder), symbols)
    assert np.array_equal(coder.get_compressed(), before)
    return bits


@pytest.mark.parametrize("name", DISCRETE)
def test_likely_symbols_are_coded_at_the_size_of_their_probability(name):
    torch.manual_seed(0)
    d, levels = DISCRETE[name]
    value = d.sample()
    symbols = (value if isinstance(d, Categorical | Bernoulli) else value * (levels - 1)).round().long()
    expected = float(-d.log_prob(value).sum()) / math.log(2)
    assert round_trip(code(d, None), symbols) == pytest.approx(expected, rel=0.003, abs=40)


@pytest.mark.parametrize("name", DISCRETE)
def test_values_of_probability_zero_are_restored(name):
    d, levels = DISCRETE[name]
    shape = d.batch_shape + d.event_shape
    for symbols in (torch.zeros(shape), torch.full(shape, levels - 1.0), torch.arange(math.prod(shape)) % levels):
        round_trip(code(d, None), symbols.reshape(shape).long())


def test_one_hot_vectors():
    torch.manual_seed(0)
    d = Independent(OneHotCategorical(logits=normal(N, 4, 5)), 1)
    value = d.sample()
    symbols = value.argmax(-1)
    grid = alphabet_of(d)
    assert torch.equal(grid.values(symbols), value)
    expected = float(-d.log_prob(value).sum()) / math.log(2)
    assert round_trip(code(d, grid), symbols) == pytest.approx(expected, abs=5)


MIXTURE = MixtureSameFamily(
    Categorical(logits=normal(6)), Independent(Normal(normal(6, 8, spread=2.0), 0.2 + normal(6, 8).exp() / 5), 1)
)
DRAWN = MIXTURE.component_distribution.mean[torch.arange(N) % 6] + normal(N, 8) / 10
LATENT = {  # a posterior, and the prior whose grid it is coded on
    "standard": (Normal(normal(N, 8), 0.1), Normal(torch.zeros(N, 8, dtype=torch.float64), 1.0)),
    "narrow": (Normal(normal(N, 8), 0.02), Normal(torch.zeros(N, 8, dtype=torch.float64), 1.0)),
    "given the level above": (Normal(5 + normal(N, 8), 0.1), Normal(5 + normal(N, 8), normal(N, 8).exp())),
    "mixture": (Normal(DRAWN, 0.02), MIXTURE.expand([N])),
}


@pytest.mark.parametrize("name", LATENT)
def test_latents_cost_their_density_on_the_grid(name):
    q, p = LATENT[name]
    grid = alphabet_of(p)
    coder = fresh_coder()
    before = coder.num_valid_bits()
    symbols = code(q, grid).pop(coder)
    z = grid.values(symbols)
    volume = float(grid.width.log2().expand_as(z).sum())
    popped = float(-q.log_prob(z).sum()) / math.log(2) - volume
    assert before - coder.num_valid_bits() == pytest.approx(popped, rel=0.003)
    log_p = (p if name == "mixture" else Independent(p, 1)).log_prob(z)
    assert round_trip(code(p, grid), symbols) == pytest.approx(float(-log_p.sum()) / math.log(2) - volume, rel=0.003)


@pytest.mark.parametrize("name", LATENT)
def test_random_bits_give_draws(name):
    q, p = LATENT[name]
    grid = alphabet_of(p)
    z = grid.values(code(q, grid).pop(fresh_coder()))
    noise = (z - q.mean) / q.stddev
    assert noise.mean().abs() < 0.15
    assert noise.std() == pytest.approx(1, abs=0.1)
    assert noise.abs().max() < 5


def test_mixtures_are_drawn_as_a_whole():
    torch.manual_seed(0)
    p = MIXTURE.expand([N])
    drawn = alphabet_of(p).values(code(p, alphabet_of(p)).pop(fresh_coder()))
    expected = MIXTURE.sample([2000])
    assert torch.allclose(drawn.mean(0), expected.mean(0), atol=1.0)
    assert float(MIXTURE.log_prob(drawn).mean()) == pytest.approx(float(MIXTURE.log_prob(expected).mean()), abs=2)


def test_a_grid_is_the_prior_s():
    p = Independent(Normal(torch.full((4, 3), 7.0), torch.full((4, 3), 0.5)), 1)
    values = alphabet_of(p).values(torch.tensor([2**11, 2**11 + 128, 0]))
    assert values[0].tolist() == [7.0, 7.5, 7 - 16 * 0.5]
    assert alphabet_of(p).width.unique().item() == WIDTH / 2


def test_dimensions_that_depend_on_each_other_have_no_code():
    d = MultivariateNormal(torch.zeros(2, 3), torch.eye(3))
    with pytest.raises(NotImplementedError):
        code(d, alphabet_of(d))


def test_parameters_that_are_not_finite_are_refused():
    with pytest.raises(Refusal, match="Train it again"):
        code(Bernoulli(logits=torch.tensor([[math.nan]]), validate_args=False), None)
