"""The methods of the VAE, its terms, and one case with closed forms."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from helpers import BINARY, DEQUANTIZED, GRAY, LEVELS, PAIRS, SMALL, TABLE, TEXT, VECTORS, build, examples
from spaces_of_z import grid
from vaekit import vae as vae_module
from vaekit.batch import Batch
from vaekit.refusal import Refusal
from vaekit.spaces import Image


@pytest.fixture
def linear():
    """z ~ N(0, I), x = W z + b + sigma e, with an encoder made exact or not by hand: (vae, W, b, sigma)."""
    vae, _ = build(
        VECTORS, "model=mlp_vae", "network.hidden=[]", "latents.dim=2", "likelihood=gaussian", "likelihood.value=0.6"
    )
    vae = vae.double()
    with torch.no_grad():
        vae.likelihood.network.body[1].weight.mul_(0.5)
    weight = vae.likelihood.network.body[1].weight.detach()
    bias, sigma = vae.likelihood.bias.detach().flatten(), vae.likelihood.log_scale.exp().item() + 1e-3
    return vae, weight, bias, sigma


def exact_posterior(vae, weight, bias, sigma):
    """Make q(z|x) as good as a diagonal Gaussian can be: the true mean and the marginal scales."""
    covariance = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + weight.T @ weight / sigma**2)
    gain = covariance @ weight.T / sigma**2
    posterior = vae.latents.levels[0].posterior
    head = getattr(posterior, "gaussian", posterior).head
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:2] = gain
        head.bias[:2] = -gain @ bias
        head.bias[2:] = torch.diagonal(torch.linalg.inv(covariance)).rsqrt().log()
    return covariance


def log_px(x, weight, bias, sigma):
    covariance = weight @ weight.T + sigma**2 * torch.eye(len(bias), dtype=torch.float64)
    return MultivariateNormal(bias, covariance).log_prob(x)


def test_linear_gaussian_nll_is_its_closed_form(linear):
    vae, weight, bias, sigma = linear
    exact_posterior(vae, weight, bias, sigma)
    x = torch.randn(20, 6, dtype=torch.float64)
    torch.manual_seed(0)
    estimate = vae.log_likelihood(x, num_samples=20_000)
    torch.testing.assert_close(estimate, log_px(x, weight, bias, sigma), atol=0.02, rtol=0)


def test_linear_gaussian_elbo_is_exact_where_the_posterior_factorizes(linear):
    vae, weight, bias, sigma = linear
    with torch.no_grad():  # orthogonal columns make the true posterior diagonal
        weight.copy_(torch.linalg.qr(weight).Q)
    exact_posterior(vae, weight, bias, sigma)
    x = torch.randn(8, 6, dtype=torch.float64)
    truth = log_px(x, weight, bias, sigma)
    torch.testing.assert_close(vae(Batch(x), 4).log_w, truth.expand(4, -1))  # every sample, not only on average
    torch.manual_seed(0)
    torch.testing.assert_close(vae(Batch(x), 50_000).elbo, truth, atol=0.02, rtol=0)


@pytest.mark.long
def test_linear_gaussian_training_reaches_the_closed_form():
    """Probabilistic PCA (Tipping and Bishop 1999): the trained ELBO meets the best log-likelihood there is."""
    torch.manual_seed(0)
    plane = torch.tensor([[2.0, 0, 1, 0, 0.5, 0], [0, 1.5, 0, -1, 0, 0.5]])
    data = torch.randn(500, 2) @ plane + 0.3 * torch.randn(500, 6)
    vae, objective = build(VECTORS, "model=mlp_vae", "network.hidden=[]", "latents.dim=2", "likelihood=gaussian")
    optimizer = torch.optim.Adam(vae.parameters(), lr=2e-2)
    for step in range(3000):
        for group in optimizer.param_groups:
            group["lr"] = 2e-2 * (1 - step / 3000)
        optimizer.zero_grad()
        objective(vae(Batch(data), 8), None).mean().backward()
        optimizer.step()
    centered = (data - data.mean(0)).double()
    eigenvalues = torch.linalg.eigvalsh(centered.T @ centered / 500).flip(0)
    noise = eigenvalues[2:].mean()
    best = -0.5 * (6 * math.log(2 * math.pi) + eigenvalues[:2].log().sum() + 4 * noise.log() + 6)
    with torch.no_grad():
        reached = vae(Batch(data), 64).elbo.mean().double()
    assert best - 0.05 < reached <= best + 0.01


def test_rates_are_closed_form_or_agree_with_it(monkeypatch):
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    batch = examples(BINARY, 4)
    torch.manual_seed(0)
    closed = vae(batch, 20_000).rate
    monkeypatch.setattr("vaekit.terms.closed_form_kl", lambda q, p: None)
    torch.manual_seed(0)
    torch.testing.assert_close(vae(batch, 20_000).rate, closed, atol=0.03, rtol=0)


def test_samples_come_first_in_every_term():
    vae, _ = build(GRAY, "model=mlp_vae", *SMALL, "likelihood=discretized_logistic")
    terms = vae(examples(GRAY, 5), 3)
    assert terms.steps[0].z.shape == (3, 5, 3)
    assert terms.log_px.shape == terms.log_pz[0].shape == terms.log_qz[0].shape == terms.log_w.shape == (3, 5)
    assert terms.rate.shape == terms.distortion.shape == terms.elbo.shape == (5,)


@pytest.mark.long
def test_chunks_of_importance_samples_change_nothing_but_the_memory(monkeypatch):
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    batch, calls, values = examples(BINARY, 4), [], vae.likelihood.bias.numel()
    vae.encoder.register_forward_hook(lambda *_: calls.append(1))
    decoded = []
    vae.likelihood.network.register_forward_hook(lambda module, args, out: decoded.append(len(args[0])))
    monkeypatch.setattr(vae_module, "CHUNK_VALUES", 3 * 4 * values)
    log_w = vae.log_weights(batch, 10)
    assert log_w.shape == (10, 4)
    assert len(calls) == 1, "the encoder runs once"
    assert decoded == [12, 12, 12, 4]
    torch.manual_seed(0)
    chunked = vae.log_likelihood(batch.x, 4000)
    decoded.clear()
    monkeypatch.setattr(vae_module, "CHUNK_VALUES", 3 * values)
    assert vae.log_weights(batch, 2).shape == (2, 4)
    assert decoded == [3, 3, 1, 1], "where not even one draw a row fits, the rows are parted too"
    monkeypatch.undo()
    torch.testing.assert_close(chunked, vae.log_likelihood(batch.x, 4000), atol=0.2, rtol=0)


def test_parts_of_a_batch_keep_their_own_masks(monkeypatch):
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    x, draws = examples(BINARY, 3).x, 200
    mask = torch.zeros_like(x)
    mask[1, ..., :4], mask[2] = 1, 1
    monkeypatch.setattr(vae_module, "CHUNK_VALUES", 2 * vae.likelihood.bias.numel())
    log_px = vae.log_weights(Batch(x, mask=mask), draws).logsumexp(0) - math.log(draws)
    assert log_px[0].abs() < 0.3 < 5 < -log_px[1] < -log_px[2], "p of nothing is 1; the more is observed, the less"


def test_log_weights_under_bf16_are_densities_in_float32():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL, "likelihood=bernoulli")
    batch, found = examples(BINARY, 50), {}
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found[enabled] = vae.log_weights(batch, 200)
    assert found[True].dtype == torch.float32
    nll = {enabled: -log_w.logsumexp(0).mean() for enabled, log_w in found.items()}
    assert 0 < (nll[True] - nll[False]).abs() < 2e-3 * nll[False], "the same draws, through coarser networks"


def test_a_mask_leaves_out_what_is_missing():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    batch = examples(BINARY, 4)
    torch.manual_seed(0)
    whole = vae(batch)
    torch.manual_seed(0)
    full = vae(Batch(batch.x, mask=torch.ones_like(batch.x)))
    torch.testing.assert_close(full.log_px, whole.log_px)
    mask = torch.zeros_like(batch.x)
    mask[..., :4] = 1
    torch.manual_seed(0)
    half = vae(Batch(batch.x, mask=mask))
    by_hand = (whole.px.base_dist.log_prob(batch.x) * mask).flatten(2).sum(-1)
    torch.testing.assert_close(half.log_px, by_hand)


@pytest.mark.parametrize("likelihood", ["logistic_mixture", "pixel_autoregressive"])
def test_a_mask_is_refused_if_the_likelihood_is_joint(likelihood):
    vae, _ = build(GRAY, "model=mlp_vae", *SMALL, f"likelihood={likelihood}")
    batch = examples(GRAY, 4)
    with pytest.raises(Refusal, match="likelihood=bernoulli"):
        vae(Batch(batch.x, mask=torch.ones_like(batch.x)))


def test_a_mask_is_refused_if_the_posterior_needs_the_density_of_whole_rows():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL, "posterior=hamiltonian")
    batch = examples(BINARY, 4)
    with pytest.raises(Refusal, match="posterior=gaussian"):
        vae(Batch(batch.x, mask=torch.ones_like(batch.x)))


def test_vae_methods_return_the_documented_shapes():
    vae, _ = build(GRAY, "model=mlp_vae", *SMALL, "likelihood=discretized_logistic")
    x = examples(GRAY, 5).x
    assert vae.sample(7).shape == (7, 1, 8, 8)
    assert [z.shape for z in vae.encode(x)] == [(5, 3)]
    assert vae.reconstruct(x).shape == x.shape
    assert vae.interpolate(x[:2], x[2:4], steps=6).shape == (2, 6, 1, 8, 8)
    assert vae.vary(x[:2], n=4).shape == (2, 4, 1, 8, 8)
    assert vae.log_likelihood(x, 3).shape == (5,)
    GRAY.check(vae.sample(7, draw=True))


def test_interpolation_starts_and_ends_at_the_reconstructions():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    x = examples(BINARY, 4).x
    walk = vae.interpolate(x[:2], x[2:], steps=5)
    torch.testing.assert_close(walk[:, 0], vae.reconstruct(x[:2]))
    torch.testing.assert_close(walk[:, -1], vae.reconstruct(x[2:]))


def test_temperature_spreads_samples_and_variants():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    x = examples(BINARY, 1).x
    for make in (lambda t: vae.sample(500, temperature=t), lambda t: vae.vary(x, 500, temperature=t)[0]):
        torch.manual_seed(0)
        narrow = make(0.1).std(0).mean()
        assert narrow < 0.5 * make(1.0).std(0).mean()


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(2, 1, 9, 9), "shape"),
        (torch.zeros(1, 8, 8), "shape"),
        (torch.full((2, 1, 8, 8), 2.0), "expected 0 to 1"),
        (torch.full((2, 1, 8, 8), math.nan), "NaN"),
    ],
)
def test_values_outside_of_the_data_space_are_refused(x, says):
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    for verb in (vae.encode, vae.reconstruct, vae.log_likelihood, lambda x: vae.vary(x, 2)):
        with pytest.raises(Refusal, match=says):
            verb(x)


def test_no_samples_is_refused():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    with pytest.raises(Refusal, match="num_samples"):
        vae.log_likelihood(examples(BINARY, 1).x, num_samples=0)


@pytest.mark.parametrize("prior", ["standard_normal", "gaussian", "mixture", "vamp", "exemplar"])
def test_linear_gaussian_nll_is_its_closed_form_under_every_gaussian_or_mixture_prior(prior):
    """p(x) is a mixture of N(W m_k + b, W S_k W^T + sigma^2 I) over the prior's components k."""
    components = ["prior.components=3"] if prior in ("mixture", "vamp", "exemplar") else []
    linear = ("model=mlp_vae", "network.hidden=[]", "latents.dim=2", "likelihood=gaussian", "likelihood.value=0.6")
    vae = build(VECTORS, *linear, f"prior={prior}", *components)[0].double()
    with torch.no_grad():
        weight = vae.likelihood.network.body[1].weight.mul_(0.5)
        for p in vae.latents.levels[0].prior.parameters():
            p.add_(0.2 * torch.randn_like(p))
    bias, sigma = vae.likelihood.bias.detach().flatten(), vae.likelihood.log_scale.exp().item() + 1e-3
    exact_posterior(vae, weight, bias, sigma)
    x = torch.randn(10, 6, dtype=torch.float64)
    with torch.no_grad():
        # exact under the standard normal: wider, it covers the others too (vamp's components move with it)
        vae.latents.levels[0].posterior.head.bias[2:] += 0.4
        p = vae.latents.levels[0].prior(None)
        parts = p.component_distribution.base_dist if hasattr(p, "component_distribution") else p.base_dist
        shares = p.mixture_distribution.logits if hasattr(p, "mixture_distribution") else torch.zeros(1)
        noise = sigma**2 * torch.eye(6, dtype=torch.float64)
        covariance = weight @ torch.diag_embed(parts.variance.reshape(-1, 2)) @ weight.T + noise
        means = parts.mean.reshape(-1, 2) @ weight.T + bias
        truth = (shares + MultivariateNormal(means, covariance).log_prob(x.unsqueeze(1))).logsumexp(1)
    torch.manual_seed(0)
    torch.testing.assert_close(vae.log_likelihood(x, num_samples=50_000), truth, atol=0.05, rtol=0)


LINEAR = ("model=mlp_vae", "network.hidden=[]", "latents.dim=2", "likelihood=gaussian", "likelihood.value=0.6")


@pytest.mark.long
def test_linear_gaussian_nll_is_its_closed_form_under_a_two_stage_prior():
    """Two linear-Gaussian VAEs on top of each other are one Gaussian."""
    second = ["prior.second.network.hidden=[]", "prior.second.latents.dim=2", "prior.num_samples=20"]
    vae = build(VECTORS, *LINEAR, "prior=two_stage", *second)[0].double()
    x, eye = torch.randn(10, 6, dtype=torch.float64), torch.eye(6, dtype=torch.float64)
    with torch.no_grad():
        weight = vae.likelihood.network.body[1].weight.mul_(0.5)
        bias, sigma = vae.likelihood.bias.flatten(), vae.likelihood.log_scale.exp().item() + 1e-3
        above = vae.latents.levels[0].prior.second
        above.likelihood.bias.add_(0.3)
        up, noise = above.likelihood.network.body[1].weight, above.likelihood.log_scale.exp().item() + 1e-3
        covariance = up @ up.T + noise**2 * eye[:2, :2]
        exact_posterior(vae, weight, bias, sigma)
        vae.latents.levels[0].posterior.head.bias[2:] += 0.4
        means = weight @ above.likelihood.bias.flatten() + bias
        truth = MultivariateNormal(means, weight @ covariance @ weight.T + sigma**2 * eye).log_prob(x)
    torch.manual_seed(0)
    torch.testing.assert_close(vae.log_likelihood(x, num_samples=20_000), truth, atol=0.1, rtol=0)


@pytest.mark.long
def test_linear_gaussian_nll_is_its_integral_under_a_flow_prior():
    vae = build(VECTORS, *LINEAR, "prior=flow", "prior.flow.transforms=2")[0].double()
    x = torch.randn(10, 6, dtype=torch.float64)
    points, cells = grid(vae.latents.levels[0].space)
    with torch.no_grad():
        weight = vae.likelihood.network.body[1].weight.mul_(0.5)
        for p in vae.latents.levels[0].prior.parameters():
            p.add_(0.1 * torch.randn_like(p))
        bias, sigma = vae.likelihood.bias.flatten(), vae.likelihood.log_scale.exp().item() + 1e-3
        exact_posterior(vae, weight, bias, sigma)
        vae.latents.levels[0].posterior.head.bias[2:] += 0.4
        joint = [vae.joint(each, [points]) + cells.log() for each in x]
    torch.manual_seed(0)
    estimate = vae.log_likelihood(x, num_samples=20_000)
    torch.testing.assert_close(estimate, torch.stack(joint).logsumexp(1), atol=0.1, rtol=0)


def test_linear_gaussian_nll_is_its_closed_form_under_a_posterior_that_walks():
    vae = build(VECTORS, *LINEAR, "posterior=hamiltonian")[0].double()
    with torch.no_grad():
        weight = vae.likelihood.network.body[1].weight.mul_(0.5)
    bias, sigma = vae.likelihood.bias.detach().flatten(), vae.likelihood.log_scale.exp().item() + 1e-3
    exact_posterior(vae, weight, bias, sigma)
    x = torch.randn(10, 6, dtype=torch.float64)
    torch.manual_seed(0)
    estimate = vae.log_likelihood(x, num_samples=20_000)
    torch.testing.assert_close(estimate, log_px(x, weight, bias, sigma), atol=0.05, rtol=0)


@pytest.mark.parametrize(("space", "fix"), [(GRAY, "round them to the grid"), (BINARY, "binarize them")])
def test_networks_read_any_image_but_only_gray_values_are_scored(space, fix):
    vae = build(space, "model=mlp_vae", "likelihood=discretized_logistic", *SMALL)[0].eval()
    x = torch.rand(3, *space.shape)
    assert vae.encode(x)[0].shape[0] == vae.reconstruct(x).shape[0] == vae.interpolate(x, x, 2).shape[0] == 3
    for verb in (vae, vae.log_likelihood):
        with pytest.raises(Refusal, match=fix):
            verb(x)
    scales = ((x * 254, "divide by 255"), (x * 16, "divide by the value of white"), (2 * x - 1, "move and scale them"))
    for scaled, how in scales:
        with pytest.raises(Refusal, match=f"expected 0 to 1; {how}"):
            vae.encode(scaled)


def test_any_array_is_read_and_anything_else_is_refused():
    vae = build(GRAY, "model=mlp_vae", "likelihood=discretized_logistic", *SMALL)[0].eval()
    x = torch.rand(3, *GRAY.shape).numpy()
    assert torch.equal(vae.encode(x[::-1])[0], vae.encode(x[::-1].copy())[0])
    assert len(vae.sample(np.int64(2))) == 2
    for wrong in ("image.png", x.astype(object)):
        with pytest.raises(Refusal, match="expected an array or tensor of numbers"):
            vae.encode(wrong)
    for n in (-1, 2.5):
        with pytest.raises(Refusal, match=f"Got n={n}, expected a whole number"):
            vae.sample(n)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (GRAY, ["model=mlp_vae", "likelihood=discretized_logistic"]),
        (BINARY, ["model=mlp_vae", "likelihood=bernoulli"]),
        (DEQUANTIZED, ["model=mlp_vae", "likelihood=gaussian"]),
        (LEVELS, ["model=mlp_vae", "likelihood=tiles"]),
        (PAIRS, ["model=mvae", "data=paired"]),
        (TABLE, ["model=mlp_vae", "likelihood=table"]),
        (TEXT, ["model=text_vae"]),
    ],
    ids=lambda each: "" if isinstance(each, list) else each.values,
)
def test_the_means_of_a_model_can_be_read(space, words):
    vae = build(space, *words, "latents.dim=2")[0].eval()
    means = vae.reconstruct(examples(space, 3).x)
    torch.testing.assert_close(vae.reconstruct(means), vae.decode(vae.encode(means)))
    assert vae.interpolate(means, means, 2).shape == (3, 2, *space.shape)


def test_bytes_are_gray_levels():
    space = Image((1, 8, 8))
    vae = build(space, "model=mlp_vae", "likelihood=discretized_logistic", *SMALL)[0].eval()
    x = torch.randint(0, 250, (3, *space.shape), dtype=torch.uint8)
    torch.testing.assert_close(vae.encode(x.numpy())[0], vae.encode(x.float() / 255)[0])
    vae.log_likelihood(x, num_samples=2)
    binary = build(BINARY, "model=mlp_vae", "likelihood=bernoulli", *SMALL)[0].eval()
    ones = torch.randint(0, 2, (3, *BINARY.shape), dtype=torch.uint8)
    torch.testing.assert_close(binary.encode(ones)[0], binary.encode(ones.float())[0])
    torch.testing.assert_close(binary.encode(255 * ones)[0], binary.encode(ones.float())[0])


def test_arrays_of_common_forms_are_read():
    vae = build(VECTORS, "model=mlp_vae", "network.hidden=[8]", "latents.dim=2", "likelihood=gaussian")[0].eval()
    x = torch.randn(4, *VECTORS.shape)
    (z,) = vae.encode(x.double().numpy())
    torch.testing.assert_close(vae.decode(z), vae.decode([z]))
    torch.testing.assert_close(vae.decode(z.detach().numpy()), vae.decode([z]))
    torch.manual_seed(0)
    of_tensor = vae(x).log_px
    torch.manual_seed(0)
    torch.testing.assert_close(of_tensor, vae(Batch(x)).log_px)
    for wrong in ([z, z], z[:, :1], z[0], []):
        with pytest.raises(Refusal, match=r"expected one per level: \[B, 2\]\."):
            vae.decode(wrong)


def test_gradients_flow_where_they_are_wanted():
    vae = build(VECTORS, "model=mlp_vae", "network.hidden=[8]", "latents.dim=2", "likelihood=gaussian")[0]
    x = torch.randn(4, *VECTORS.shape)
    vae.decode(vae.train().encode(x)).sum().backward()
    assert all(weight.grad is not None for weight in vae.likelihood.network.parameters())
    assert any(weight.grad is not None and weight.grad.any() for weight in vae.encoder.parameters())
    vae.eval().encode(x.requires_grad_())[0].sum().backward()
    assert x.grad is not None and x.grad.any()
    for made in (vae.reconstruct(x), vae.interpolate(x, x, 2), vae.vary(x, 2), vae.sample(2), vae.log_likelihood(x, 2)):
        assert not made.requires_grad
    with torch.no_grad():
        assert not vae.encode(x)[0].requires_grad
