"""Whole VAEs: every example is restored, at the size of the bound."""

import math
import sys

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from torch import nn
from torch.distributions import Bernoulli, Independent, OneHotCategorical

from helpers import BINARY, DEQUANTIZED, GRAY, SMALL, SPACES, VECTORS, build, examples
from spaces_of_z import small_vae
from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.coding.bits_back import decode, encode
from vaekit.configs import options
from vaekit.distributions.codes import alphabet_of, code
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real

COLOR = Image((3, 8, 8), bins=256)
ONE_BY_ONE = ["prior=autoregressive", "prior.width=8", "prior.blocks=2", "prior.heads=2"]
PIXELS = ["likelihood.width=4", "likelihood.layers=1"]
MODELS = {
    "binary": (BINARY, ["likelihood=bernoulli"]),
    "gray": (GRAY, ["likelihood=discretized_logistic"]),
    "gray, free": (GRAY, ["likelihood=categorical"]),
    "color": (COLOR, ["likelihood=discretized_logistic", "network=conv", "network.channels=[8]"]),
    "color, mixture": (COLOR, ["likelihood=logistic_mixture"]),
    "gray, pixel by pixel": (GRAY, ["likelihood=pixel_autoregressive", *PIXELS]),
    "color, pixel by pixel": (COLOR, ["likelihood=pixel_autoregressive", *PIXELS]),
    "binary, pixel by pixel": (BINARY, ["likelihood=bernoulli_autoregressive", "likelihood.layers=2"]),
    "learned prior": (BINARY, ["likelihood=bernoulli", "prior=gaussian"]),
    "mixture prior": (BINARY, ["likelihood=bernoulli", "prior=mixture"]),
    "vamp prior": (GRAY, ["likelihood=discretized_logistic", "prior=vamp"]),
    "exemplar prior": (BINARY, ["likelihood=bernoulli", "prior=exemplar"]),
    "bits": (BINARY, ["likelihood=bernoulli", "posterior=bernoulli", "prior=code_uniform"]),
    "choices": (BINARY, ["likelihood=bernoulli", "posterior=gumbel", "posterior.codes=3", "prior=code_uniform"]),
    "codes": (GRAY, ["likelihood=discretized_logistic", "posterior=vq", "posterior.depth=3", "prior=code_uniform"]),
    "codes, one by one": (BINARY, ["likelihood=bernoulli", "posterior=fsq", "posterior.levels=[3]", *ONE_BY_ONE]),
}


def model(name):
    space, overrides = MODELS[name]
    small = SMALL if "network=conv" not in overrides else SMALL[1:]
    vae = build(space, "model=mlp_vae", *small, *overrides)[0].eval()
    with torch.no_grad():  # as if trained: posteriors that differ, some of them narrower than the prior
        for part in vae.latents.parameters():
            part.add_(0.3 * torch.randn(part.shape, generator=torch.Generator().manual_seed(1)))
    return vae


def rows(space, n):
    return (examples(space, n).x * (space.bins - 1)).round().numpy().astype(np.uint8)


def bound(vae, x, draws=200):
    """-ELBO of all examples together, in bits."""
    batch = Batch(torch.from_numpy(x).float() / (vae.space.bins - 1))
    parts = draws // 20  # which bounds the memory
    with torch.no_grad():
        return sum(float(-vae(batch, 20).elbo.sum()) for _ in range(parts)) / parts / math.log(2)


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_all_examples_are_restored_at_the_size_of_the_bound(name):
    vae, n = model(name), 150
    x = rows(vae.space, n)
    stream = encode(vae, x, batch_size=32)
    back = decode(vae, stream)
    assert back.dtype == x.dtype and np.array_equal(back, x)
    assert sum(stream.sizes) == n and max(stream.sizes) <= 32
    first = 16 * sum(level.space.size + 1 for level in vae.latents.levels)  # the first z is drawn from other bits
    bits = bound(vae, x, 200 if vae.space.size < 100 else 20)  # of more values, fewer draws are as exact
    assert bits * 0.95 < 32 * len(stream.words) < bits * 1.02 + first


@pytest.mark.parametrize("n", [1, 2, 7, 33])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_any_number_of_examples_in_any_batches(n, batch_size):
    vae = model("gray")
    x = rows(GRAY, n)
    assert np.array_equal(decode(vae, encode(vae, x, batch_size)), x)


@pytest.mark.parametrize("x", [np.zeros((5, 1, 8, 8), np.uint8), np.full((5, 1, 8, 8), 16, np.uint8)])
def test_examples_unlike_any_other(x):
    vae = model("gray")
    assert np.array_equal(decode(vae, encode(vae, x, 4)), x)


def test_progress_counts_every_example():
    vae, counted = model("binary"), list[int]()
    stream = encode(vae, rows(BINARY, 9), 4, counted.append)
    assert sum(counted) == 9
    counted.clear()
    decode(vae, stream, counted.append)
    assert sum(counted) == 9


# Towers ---------------------------------------------------------------------------------------------------------------


class Discrete(nn.Module):
    """Two levels of it: u ~ one-hot of 4 classes, twice; then bits that depend on them, and on x."""

    def __init__(self, top):
        super().__init__()
        self.space, self.gives, self.top = Real((8,)), frozenset({"log_prob"}), top
        self.infer_head, self.generate_head = nn.LazyLinear(8), nn.Linear(8, 8)

    def distribution(self, logits):
        if self.top:
            return Independent(OneHotCategorical(logits=logits.unflatten(-1, (2, 4)), validate_args=False), 1)
        return Independent(Bernoulli(logits=logits, validate_args=False), 1)

    def infer(self, features, state):
        if state is not None:
            features = torch.cat([features.expand(*state.shape[:-1], -1), state], -1)
        return self.distribution(self.infer_head(features))

    def generate(self, state):
        return self.distribution(self.generate_head.bias if state is None else self.generate_head(state))

    def merge(self, state, z):
        return z.flatten(-2) if state is None else state + z


def discrete_vae():
    vae = build(BINARY, "model=mlp_vae", "network.hidden=[16]", "latents.dim=8", "likelihood=bernoulli")[0].eval()
    vae.latents.levels = nn.ModuleList([Discrete(True), Discrete(False)])
    vae.sample(1)
    vae.encoder(torch.zeros(1, 1, 8, 8))
    for level, width in zip(vae.latents.levels, (16, 24), strict=True):
        level.infer_head(torch.zeros(1, width))
    return vae


@pytest.mark.parametrize("kind", ["ladder", "discrete"])
def test_towers(kind):
    if kind == "ladder":
        vae = build(BINARY, "model=ladder_vae", "latents.levels=3", "latents.dim=8", "likelihood=bernoulli")[0].eval()
    else:
        vae = discrete_vae()
    assert len(vae.latents.levels) > 1
    x = rows(BINARY, 200)
    stream = encode(vae, x, 32)
    assert np.array_equal(decode(vae, stream), x)
    batch = Batch(torch.from_numpy(x).float())
    with torch.no_grad():  # log q - log p is a level's rate, where torch has no closed form or K draws of the state
        terms = [vae(batch) for _ in range(50)]
        expected = -sum(float(each.log_w.sum()) for each in terms) / 50 / math.log(2)
    first = 16 * sum(level.space.size for level in vae.latents.levels)
    assert expected * 0.98 < 32 * len(stream.words) < expected * 1.02 + first


# Whoever decodes computes a little otherwise -------------------------------------------------------------------------


def disturb(vae, noise):
    """Add noise to what the networks give, as another machine would."""

    def hook(module, inputs, out):
        return out + noise * torch.randn_like(out)

    for part in (vae.encoder, vae.likelihood.network):
        part.register_forward_hook(hook)


@pytest.mark.parametrize("name", ["binary", "gray", "vamp prior", "color, mixture"])
def test_rounding_hides_numerical_noise(name):
    vae = model(name)
    x = rows(vae.space, 60)
    stream = encode(vae, x, 16)
    disturb(vae, 1e-14)
    assert np.array_equal(decode(vae, stream), x)


def test_different_values_on_another_machine_are_detected():
    vae = model("gray")
    stream = encode(vae, rows(GRAY, 60), 16)
    disturb(vae, 1e-3)
    with pytest.raises(Refusal, match=r"did not come back .* decompress there"):
        decode(vae, stream)


def test_the_weights_are_what_they_were():
    vae = model("color")
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    decode(vae, encode(vae, rows(COLOR, 5), 4))
    for name, weight in vae.state_dict().items():
        assert weight.dtype == before[name].dtype and torch.equal(weight, before[name])


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "overrides", "says"),
    [
        (VECTORS, ["network=mlp", "likelihood=gaussian"], "values are continuous; .* data=digits"),
        (DEQUANTIZED, ["likelihood=gaussian"], "values are unit; .* data.dequantize=false"),
        (BINARY, ["posterior=flow"], "posterior=gaussian"),
        (BINARY, ["posterior=full_gaussian"], "MultivariateNormal.* posterior=gaussian"),
        (BINARY, ["model=ae", "network=mlp", "likelihood=bernoulli"], "posterior=gaussian"),
        (BINARY, ["model=s_vae", "network=mlp"], "posterior=gaussian"),
        (BINARY, ["prior=flow"], "The prior .*prior=gaussian or prior=mixture or prior=standard_normal"),
        (BINARY, ["model=two_stage_vae", "network=mlp"], "prior=gaussian or prior=mixture or prior=standard_normal"),
    ],
)
def test_models_that_cannot_code_are_refused(space, overrides, says):
    vae = build(space, "model=mlp_vae", *SMALL, *overrides)[0].eval()
    x = np.zeros((3, *space.shape), np.uint8)
    with pytest.raises(Refusal, match=says):
        encode(vae, x, 2)
    assert vae.likelihood.bias.dtype == torch.float32


@torch.no_grad()
def is_coded(d, p):
    """Whether a distribution is, with the alphabet of the prior `p` of its latent, if it is one of a latent."""
    try:
        alphabet = None if p is None else alphabet_of(p)
        code(d if d.batch_shape else d.expand((3,)), alphabet)
    except NotImplementedError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(options("posterior")))
def test_a_posterior_is_coded_where_it_declares_so(name):
    vae = small_vae("posterior", name)
    level, x = vae.latents.levels[0], examples(vae.space, 3, dtype=torch.float64).x
    assert is_coded(level.infer(vae.encoder(x), None), level.prior(None)) == (Capability.CODED in level.gives)


@pytest.mark.parametrize("name", sorted(options("prior")))
def test_a_prior_is_coded_where_it_declares_so(name):
    prior = small_vae("prior", name).latents.levels[0].prior
    assert is_coded(prior(None), prior(None)) == (Capability.CODED in prior.gives)


@pytest.mark.parametrize("name", sorted(options("likelihood")))
def test_a_likelihood_is_coded_where_it_declares_so(name):
    kind = get_class(options("likelihood")[name]["_target_"])
    space = next(each for each in (GRAY, *SPACES.values()) if kind.scores(each))
    network = {"text": ["network=gru"], "pairs": ["network=paired"]}.get(type(space).__name__.lower(), ["network=mlp"])
    vae, _ = build(space, *network, "latents.dim=3", f"likelihood={name}")
    px = vae.double().likelihood(torch.zeros(2, 3, dtype=torch.float64))
    assert is_coded(px, None) == (Capability.CODED in kind.gives)


def test_a_model_that_outputs_nan_is_refused():
    vae = model("binary")
    with torch.no_grad():
        vae.likelihood.bias[0, 0, 0, 0] = math.nan
    with pytest.raises(Refusal, match="NaN"):
        encode(vae, rows(BINARY, 3), 2)


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(Refusal, match=r"pip install '.\[compress\]'"):
        encode(model("binary"), rows(BINARY, 3), 2)
