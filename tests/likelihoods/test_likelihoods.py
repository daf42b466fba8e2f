"""Every likelihood: a proper distribution over its space, that starts at the data's mean."""

from types import SimpleNamespace

import pytest
import torch
from hydra.utils import get_class

from helpers import GRAY, SMALL, SPACES, VECTORS, build, examples
from vaekit.configs import options
from vaekit.likelihoods.gaussian import NARROWER, Gaussian
from vaekit.refusal import Refusal, located
from vaekit.spaces import Image

LIKELIHOODS = sorted(options("likelihood"))
NETWORKS = {
    "tokens": ("network=gru", "network.width=4", "network.embedding=4", "latents.dim=3"),
    "paired": ("network=paired", "network.image.hidden=[16]", "latents.dim=3"),
}


# score several numbers together: test_table.py, test_tiles.py, ...
BLOCKS = ("table", "table_autoregressive", "tiles", "paired")


def part(name):
    return get_class(options("likelihood")[name]["_target_"])


def of(name, *overrides):
    """A likelihood over the first space that it scores, gray levels before black and white."""
    space = next((each for each in (GRAY, *SPACES.values()) if part(name).scores(each)), None)
    assert space, f"likelihood={name} scores no space of tests/helpers.py; add an example of one to SPACES there"
    vae, _ = build(space, *NETWORKS.get(name, ("model=mlp_vae", *SMALL)), f"likelihood={name}", *overrides)
    return vae.likelihood.double()


def silence(likelihood):
    """Its network gives 0."""
    likelihood.network = torch.nn.Module()
    likelihood.network.in_shape = (3,)
    likelihood.network.forward = lambda z: torch.zeros(len(z), *likelihood.bias.shape, dtype=z.dtype)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_shapes_with_any_leading_dimensions(name):
    likelihood = of(name)
    shape = likelihood.space.shape
    for lead in ((4,), (3, 4), (2, 3, 4)):
        px = likelihood(torch.randn(*lead, 3, dtype=torch.float64))
        assert px.batch_shape == lead
        assert px.mean.shape == px.mode.shape == px.sample().shape == (*lead, *shape)
        assert px.log_prob(examples(likelihood.space, 4, dtype=torch.float64).x).shape == lead


@pytest.mark.parametrize(
    "name", [name for name in LIKELIHOODS if "factorised" in part(name).gives and name not in BLOCKS]
)
def test_each_value_sums_or_integrates_to_one(name):
    likelihood = of(name)
    px = likelihood(torch.randn(2, 3, dtype=torch.float64)).base_dist
    space = likelihood.space
    t = torch.linspace(-40, 40, 20_001, dtype=torch.float64)
    if likelihood.values == {"unit"}:  # t is the logit of x, so that both ends are seen closely
        x, width = t.sigmoid(), t.sigmoid() * (-t).sigmoid()
        mass = torch.trapezoid(px.log_prob(x.reshape(-1, 1, 1, 1, 1)).exp() * width.reshape(-1, 1, 1, 1, 1), t, dim=0)
    elif space.values in ("unit", "continuous"):
        mass = torch.trapezoid(px.log_prob(t.reshape(-1, 1, *[1] * len(space.shape))).exp(), t, dim=0)
    else:
        levels = torch.linspace(0, 1, space.bins, dtype=torch.float64).reshape(-1, 1, 1, 1, 1)
        mass = px.log_prob(levels.expand(-1, 2, *space.shape)).exp().sum(0)
    torch.testing.assert_close(mass, torch.ones_like(mass), atol=1e-3 if name == "student" else 1e-4, rtol=0)


# which bf16 is for
OWN_NETWORK = (
    "bernoulli_autoregressive", "pixel_autoregressive", "table_autoregressive", "tiles_autoregressive",
    "wave_autoregressive", "tokens"
)  # fmt: skip


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name not in OWN_NETWORK])
def test_densities_are_exact_where_networks_run_in_bf16(name):
    likelihood = of(name).float()
    px, x = likelihood(torch.randn(4, 3)), examples(likelihood.space, 4).x
    with torch.autocast("cpu", torch.bfloat16):
        halved = px.log_prob(x)
    torch.testing.assert_close(halved, px.log_prob(x))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_lie_in_the_space(name):
    likelihood = of(name)
    px = likelihood(torch.randn(50, 3, dtype=torch.float64))
    if likelihood.space.values not in ("unit", "continuous"):
        for x in (px.sample(), px.mode):
            likelihood.space.check(x)
    assert torch.isfinite(px.log_prob(px.sample())).all()


# the edge bins of a discretized logistic gather its tails, which moves its mean towards the middle
NO_MEAN = (
    "categorical", "pixel_autoregressive", "tiles_autoregressive", "wave_autoregressive", "tokens", *BLOCKS
)  # fmt: skip
TOLERANCE = {"discretized_logistic": 0.06, "bernoulli_autoregressive": 0.05, "logistic_mixture": 0.12, "beta": 1e-3}


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name not in NO_MEAN])
def test_starts_at_the_mean_of_the_data(name):
    likelihood = of(name)
    mean = torch.linspace(0.1, 0.9, likelihood.space.size, dtype=torch.float64).reshape(likelihood.space.shape)
    data = SimpleNamespace(
        mean=lambda: mean, deviation=lambda: mean, sample=lambda part, n: examples(likelihood.space, n)
    )
    likelihood.start_from(data)
    silence(likelihood)
    reached = likelihood(torch.zeros(1, 3, dtype=torch.float64)).mean[0]
    torch.testing.assert_close(reached, mean, atol=TOLERANCE.get(name, 1e-6), rtol=0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gaussian", ["likelihood.scale=global"]),
        ("gaussian", ["likelihood.scale=pixel"]),
        ("laplace", []),
        ("student", ["likelihood.scale=value"]),
        ("student", ["likelihood.scale=pixel"]),
    ],
)
@pytest.mark.parametrize("unit", [1e-1, 1, 1e4])
def test_a_learned_scale_starts_as_wide_as_the_data(name, words, unit):
    likelihood = of(name, *words)
    zero, deviation = torch.zeros(likelihood.space.shape), unit * torch.linspace(1, 3, likelihood.space.size).double()
    deviation = deviation.reshape(zero.shape)
    likelihood.start_from(SimpleNamespace(mean=lambda: zero, deviation=lambda: deviation))
    silence(likelihood)
    if words != ["likelihood.scale=value"]:  # one for all values
        deviation = deviation.square().mean().sqrt().expand_as(deviation)
    if name == "gaussian":
        deviation = NARROWER * deviation
    torch.testing.assert_close(likelihood(torch.zeros(1, 3, dtype=torch.float64)).stddev[0], deviation)


def test_a_scale_that_is_given_does_not_depend_on_the_data():
    likelihood = of("gaussian", "likelihood.value=0.3")
    likelihood.start_from(SimpleNamespace(mean=lambda: torch.zeros(likelihood.space.shape)))
    assert likelihood(torch.zeros(1, 3, dtype=torch.float64)).stddev.unique().item() == pytest.approx(0.3)


def test_a_gaussian_of_a_fixed_sigma_needs_it():
    with pytest.raises(Refusal, match=r"likelihood.scale=fixed needs .* Try likelihood.value=0.5"):
        of("gaussian", "likelihood.scale=fixed")


@pytest.mark.parametrize(("scale", "params"), [("fixed", 1), ("global", 1), ("pixel", 2)])
def test_gaussian_scales(scale, params):
    likelihood = of("gaussian", f"likelihood.scale={scale}", "likelihood.value=0.3")
    assert likelihood.bias.shape[0] == params
    likelihood.start_from(SimpleNamespace(mean=lambda: torch.zeros(likelihood.space.shape)))
    sigma = likelihood(torch.randn(1, 3, dtype=torch.float64)).stddev
    if scale == "pixel":
        assert sigma.std() > 0, "sigma comes from the network"
    else:
        torch.testing.assert_close(sigma, torch.full_like(sigma, 0.3), rtol=1e-5, atol=0)
    assert ("log_scale" in dict(likelihood.named_parameters())) == (scale == "global")


def test_a_learned_sigma_has_a_floor():
    likelihood = of("gaussian", "likelihood.floor=0.1")
    with torch.no_grad():
        likelihood.log_scale.fill_(-100.0)
    assert likelihood(torch.zeros(1, 3, dtype=torch.float64)).stddev.min() >= 0.1


@pytest.mark.parametrize("options", [{"scale": "none"}, {"value": 0.0}, {"value": -1.0}])
def test_invalid_scales_are_refused(options):
    with located("likelihood"), pytest.raises(Refusal, match="likelihood"):
        Gaussian(VECTORS, lambda params: None, **options)


def test_levels_come_from_the_data():
    vae, _ = build(Image((1, 8, 8), bins=5), "model=mlp_vae", *SMALL, "likelihood=categorical")
    assert vae.likelihood.bias.shape[0] == 5


@pytest.mark.parametrize("setting", ["layers=1", "radius=4"])
def test_layers_and_radius_below_one_are_refused(setting):
    with pytest.raises(Refusal, match=f"likelihood.{setting}"):
        of("bernoulli_autoregressive", f"likelihood.{setting[:-1]}0")
