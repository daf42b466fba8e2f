"""Each penalty against a closed form, or a plain reference."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from torch.distributions import Independent, Normal

from helpers import BINARY, GRAY, SMALL, VECTORS, build, build_all, examples
from vaekit.batch import Batch
from vaekit.latents.tower import Step
from vaekit.penalties.aggregate import Aggregate
from vaekit.penalties.capacity import Capacity
from vaekit.penalties.decoder_weights import DecoderWeights
from vaekit.penalties.dip import DIP
from vaekit.penalties.factor import permute_dimensions
from vaekit.penalties.gradient import Gradient
from vaekit.penalties.latent_norm import LatentNorm
from vaekit.penalties.mmd import MMD, SCALES
from vaekit.penalties.ms_ssim import EXPONENTS, MSSSIM
from vaekit.penalties.mutual_information import MutualInformation
from vaekit.penalties.penalty import prior_draws
from vaekit.penalties.perceptual import Perceptual
from vaekit.penalties.sliced_wasserstein import SlicedWasserstein
from vaekit.penalties.spectral import Spectral, matrices
from vaekit.penalties.total_correlation import TotalCorrelation
from vaekit.refusal import Refusal
from vaekit.schedules.linear import Linear
from vaekit.schedules.schedule import at
from vaekit.spaces import Image
from vaekit.terms import Terms


def given(loc, scale, draws=1, seed=0):
    """Terms of Gaussian posteriors `[B, D]` with a standard normal prior; there are no data."""
    torch.manual_seed(seed)
    q = Independent(Normal(loc, scale), 1)
    p = Independent(Normal(torch.zeros_like(loc[0]), torch.ones_like(loc[0])), 1)
    return Terms(Batch(loc), [Step(q.rsample((draws,)), q, p)], None, torch.zeros(draws, len(loc)))


LOC = torch.tensor([[-1.5, -1.0], [0.3, 0.2], [1.2, 1.4], [0.9, -0.4]], dtype=torch.float64)
SCALE = torch.tensor([[0.4, 0.5], [0.8, 0.3], [0.5, 0.6], [0.6, 0.7]], dtype=torch.float64)


# The aggregate posterior ----------------------------------------------------------------------------------------------


def on_a_grid():
    """Mutual information, total correlation and dimension-wise KL of the four posteriors above, by integration."""
    axis = torch.linspace(-7, 7, 701, dtype=torch.float64)
    cell = float(axis[1] - axis[0])
    each = Normal(LOC[:, None], SCALE[:, None]).log_prob(axis[:, None]).exp()  # [4, G, D]
    x, y = each.unbind(-1)
    joint = torch.einsum("ni,nj->nij", x, y)
    q, qx, qy = joint.mean(0), x.mean(0), y.mean(0)
    p = Normal(0.0, 1.0).log_prob(axis)

    def expectation(density, log):
        return torch.where(density > 1e-200, density * log, 0).sum() * cell ** (density.dim() - (density.dim() == 3))

    information = expectation(joint, (joint / q).log()) / 4
    correlation = expectation(q, (q / (qx[:, None] * qy)).log())
    dimensions = expectation(qx, qx.log() - p) + expectation(qy, qy.log() - p)
    return information, correlation, dimensions


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_information_correlation_and_dimensions_add_up_to_the_kl(estimator):
    terms = given(LOC, SCALE, 100_000)
    information = MutualInformation(None, estimator=estimator)(terms, None, None)
    correlation = TotalCorrelation(None, estimator=estimator)
    _, marginals = correlation.logs(terms)
    dimensions = (marginals.sum(0) - terms.log_pz[0]).mean()
    correlation = correlation(terms, None, None)
    torch.testing.assert_close(
        torch.stack([information, correlation, dimensions]), torch.stack(on_a_grid()), atol=0.01, rtol=0
    )
    torch.testing.assert_close(information + correlation + dimensions, terms.rate.mean(), atol=0.01, rtol=0)


def test_the_stratified_estimate_of_a_density_is_unbiased():
    """Over all batches of 3 of 6 rows that a draw of one row can fall into."""
    log_q = torch.randn(6, dtype=torch.float64)  # log q(z | x_n) of a draw of row 0
    aggregate = Aggregate("stratified")
    aggregate.start_from(SimpleNamespace(num_train=6))
    batches = torch.stack([log_q[[0, *others]] for others in itertools.combinations(range(1, 6), 2)])
    estimates = aggregate(batches.unsqueeze(1).expand(-1, 3, -1))[:, 0].exp()  # row 0 is the own one
    torch.testing.assert_close(estimates.mean(), log_q.exp().mean())


def test_the_stratified_estimate_is_that_of_the_paper_averaged_over_batch_orders():
    n, batch = 50, 5
    m = batch - 1
    q = torch.rand(batch, dtype=torch.float64)
    papers = [  # Chen et al. 2018, appendix C.2: 1/N for x_i, 1/M for M - 1 others, (N - M) / (N M) for the last
        q[0] / n + (q[1:].sum() - q[last]) / m + (n - m) / (n * m) * q[last] for last in range(1, batch)
    ]
    aggregate = Aggregate("stratified")
    aggregate.start_from(SimpleNamespace(num_train=n))
    torch.testing.assert_close(aggregate(q.log().expand(batch, batch))[0].exp(), torch.stack(papers).mean())


def test_the_weighted_estimate_is_the_papers_without_its_constant():
    log_q = torch.randn(2, 5, 5)
    aggregate = Aggregate("weighted")
    aggregate.start_from(SimpleNamespace(num_train=50))
    torch.testing.assert_close(aggregate(log_q).exp() / 50, log_q.exp().sum(-1) / (50 * 5))


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_a_collapsed_posterior_has_no_information_and_no_correlation(estimator):
    for penalty in (MutualInformation(None, estimator=estimator), TotalCorrelation(None, estimator=estimator)):
        penalty.aggregate.start_from(SimpleNamespace(num_train=60_000))
        terms = given(torch.zeros(8, 5), torch.ones(8, 5), draws=3)
        assert penalty(terms, None, None).item() == pytest.approx(0, abs=1e-5)


def test_information_is_that_of_codes_that_tell_all_or_nothing():
    far = torch.arange(8.0)[:, None] * 100
    same = torch.zeros(8, 2)
    for loc, information in ((far, math.log(8)), (same, 0.0)):
        assert MutualInformation(None)(given(loc, torch.ones_like(loc)), None, None).item() == pytest.approx(
            information, abs=1e-6
        )


def test_the_number_of_rows_comes_from_the_data_and_goes_into_checkpoints():
    vae, _, penalties = build_all(BINARY, "model=beta_tc_vae", "network=mlp", "network.hidden=[8]")
    from vaekit.training.module import Training

    training = Training(vae, None, penalties, torch.optim.Adam)
    for part in penalties.modules():
        if hasattr(part, "start_from"):
            part.start_from(SimpleNamespace(num_train=1234))
    assert training.state_dict()["penalties.total_correlation.aggregate.num_train"] == 1234
    assert at(penalties.total_correlation.weight, None) == 5


# Moments and distances ------------------------------------------------------------------------------------------------


def test_dip():
    covariance = np.cov(LOC.numpy().T, bias=True)
    for kind, diagonal in itertools.product(("i", "ii"), (1.0, 7.0)):
        expected = covariance + (np.diag(SCALE.square().mean(0).numpy()) if kind == "ii" else 0)
        by_hand = 2 * expected[0, 1] ** 2 + diagonal * ((np.diag(expected) - 1) ** 2).sum()
        ours = DIP(None, kind=kind, diagonal=diagonal)(given(LOC, SCALE), None, None)
        assert ours.item() == pytest.approx(by_hand)


def test_dip_is_zero_for_codes_like_the_prior():
    z = torch.randn(2000, 3, dtype=torch.float64)
    z = (z - z.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(z.T, correction=0))).T
    assert DIP(None)(given(z, torch.ones_like(z)), None, None) < 1e-20
    assert DIP(None, kind="ii")(given(0.6 * z, torch.full_like(z, 0.8)), None, None) < 1e-20


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_the_unbiased_estimator(kernel):
    a, b = torch.randn(2, 3, 6, 4, dtype=torch.float64)

    def k(x, y):
        square = ((x - y) ** 2).sum().item()
        scales = [2 * 4 * scale for scale in SCALES]
        return sum(c / (c + square) if kernel == "imq" else math.exp(-square / c) for c in scales)

    pairs, expected = list(itertools.permutations(range(6), 2)), 0.0
    for x, y in zip(a, b, strict=True):
        expected += sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs) / len(pairs) / 3
        expected -= 2 * sum(k(x[i], y[j]) for i in range(6) for j in range(6)) / 36 / 3
    assert MMD(None, kernel=kernel).distance(a, b).item() == pytest.approx(expected)


@pytest.mark.long
@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_zero_in_mean_where_the_codes_follow_the_prior_and_not_elsewhere(kernel):
    here, mmd = torch.zeros(20, 3), MMD(None, kernel=kernel)
    estimates = torch.stack([mmd(given(here, here + 1, seed=seed), None, None) for seed in range(1500)])
    assert estimates.mean().abs() < 3 * estimates.std() / len(estimates) ** 0.5
    assert estimates.min() < 0
    assert mmd(given(here + 1, here + 1, 50), None, None) > 0.3
    assert mmd(given(here, here + 0.1, 50), None, None) > 0.3
    assert mmd(given(here[:1], here[:1] + 1), None, None).isfinite()


def test_mmd_of_a_single_row_is_zero():
    z, other = torch.randn(2, 3, 1, 4).requires_grad_().unbind()
    distance = MMD(None).distance(z, other)
    assert distance == 0
    assert not torch.autograd.grad(distance, z)[0].any()


def test_codes_of_a_conditional_prior_are_those_of_each_row():
    p = Independent(Normal(LOC, 1e-3), 1)
    terms = Terms(Batch(LOC), [Step(torch.zeros(3, *LOC.shape), p, p)], None, torch.zeros(3, len(LOC)))
    torch.testing.assert_close(prior_draws(terms), LOC.expand(3, -1, -1), atol=0.01, rtol=0)


def test_sliced_wasserstein_is_the_best_assignment_along_each_line():
    terms, penalty = given(LOC, SCALE, 2), SlicedWasserstein(None, projections=9)
    torch.manual_seed(3)
    ours = penalty(terms, None, None)
    torch.manual_seed(3)
    lines = torch.randn(2, 9).double()
    prior = terms.steps[0].p.sample((2, 4))
    costs = []
    for line in (lines / lines.norm(dim=0)).T:
        for a, b in zip(terms.steps[0].z @ line, prior @ line, strict=True):
            cost = (a[:, None] - b).square().numpy()
            costs.append(cost[linear_sum_assignment(cost)].mean())
    assert ours.item() == pytest.approx(np.mean(costs))


@pytest.mark.long
def test_sliced_wasserstein_of_a_shift():
    """Along a line u, N(c, I) is (c . u)^2 from N(0, I); on average over lines, |c|^2 / D."""
    shift = torch.tensor([2.0, 0.0, 1.0]).expand(20_000, 3)
    far = SlicedWasserstein(None, projections=300)(given(shift, torch.ones(20_000, 3)), None, None)
    assert far.item() == pytest.approx(5 / 3, rel=0.1)
    assert SlicedWasserstein(None)(given(0 * shift, torch.ones(20_000, 3)), None, None) < 0.002


def test_capacity_follows_its_schedule():
    terms = given(LOC, SCALE)
    rate, capacity = terms.rate.mean(), Capacity(None, nats=Linear(25.0, epochs=10))
    assert capacity(terms, None, 0.0) == rate
    assert capacity(terms, None, 4.0) == (10 - rate).abs()
    assert capacity(terms, None, None) == 25 - rate


# Decoders -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def linear():
    """x = W z + b + noise: VAE and W."""
    vae, _ = build(VECTORS, "model=mlp_vae", "network.hidden=[]", "latents.dim=2", "likelihood=gaussian")
    return vae.double(), vae.likelihood.network.body[1].weight


def test_the_gradient_of_a_linear_decoder_is_its_matrix(linear):
    vae, weight = linear
    terms = vae(Batch(torch.randn(20_000, 6, dtype=torch.float64)), 2)
    norm = Gradient(vae)(terms, vae, None)
    torch.testing.assert_close(norm, weight.square().sum(), rtol=0.03, atol=0)
    torch.testing.assert_close(torch.autograd.grad(norm, weight)[0], 2 * weight, rtol=0.1, atol=0.05)


def test_the_gradient_is_known_without_gradients_and_moves_the_encoder_too():
    vae, _ = build(GRAY, "model=mlp_vae", *SMALL, "likelihood=discretized_logistic", "network.activation=Tanh")
    with torch.inference_mode():
        assert Gradient(vae)(vae(examples(GRAY, 5)), vae, None) > 0
    Gradient(vae)(vae(examples(GRAY, 5)), vae, None).backward()
    assert all(p.grad.abs().sum() > 0 for p in (vae.encoder.body[1].weight, vae.likelihood.network.body[1].weight))


def test_the_gradient_is_that_of_levels_which_x_depends_on():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL, "latents=ladder", "latents.levels=2", "latents.stacked=true")
    norm = Gradient(vae)(vae(examples(BINARY, 5)), vae, None)
    norm.backward()
    assert norm > 0 and vae.likelihood.network.body[1].weight.grad.any()


def test_weights_and_codes(linear):
    vae, weight = linear
    terms = vae(Batch(torch.randn(5, 6, dtype=torch.float64)), 3)
    torch.testing.assert_close(DecoderWeights(vae)(terms, vae, None), weight.square().sum())
    torch.testing.assert_close(LatentNorm(vae)(terms, vae, None), (terms.steps[0].z ** 2).sum() / (2 * 3 * 5))


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_spectral_is_the_sum_of_the_largest_singular_values(network):
    vae, _ = build(BINARY, f"network={network}")
    penalty, weights = Spectral(vae), matrices(vae)
    named = [p for name, p in vae.named_parameters() if name.endswith("weight")]
    assert sum(each.numel() for each in weights) == sum(p.numel() for p in named)
    terms = vae(examples(BINARY, 2), 1)
    for _ in range(300):
        value = penalty(terms, vae, None)
    torch.testing.assert_close(value, sum(torch.linalg.matrix_norm(each, 2) for each in weights), rtol=1e-3, atol=0)
    value.backward()
    weight = vae.latents.levels[0].posterior.head.weight
    u, _, vh = torch.linalg.svd(weight.detach())
    torch.testing.assert_close(weight.grad, torch.outer(u[:, 0], vh[0]), rtol=0, atol=0.02)

    penalty.eval()(terms, vae, None)
    kept = penalty.right_singular_vectors.clone()
    penalty(terms, vae, None)
    torch.testing.assert_close(penalty.right_singular_vectors, kept, rtol=0, atol=0)


def test_spectral_sees_a_layer_that_starts_at_zero():
    vae, _ = build(BINARY, "model=mlp_vae", *SMALL)
    penalty, weight = Spectral(vae), vae.latents.levels[0].posterior.head.weight
    learned = weight.detach().clone()
    torch.nn.init.zeros_(weight)
    penalty(None, vae, None)
    with torch.no_grad():
        weight.copy_(learned)
    for _ in range(300):
        value = penalty(None, vae, None)
    torch.testing.assert_close(value, sum(torch.linalg.matrix_norm(each, 2) for each in matrices(vae)))


# Images ---------------------------------------------------------------------------------------------------------------


def seen(made, x):
    """Terms of data x `[B, ...]` and reconstructions made `[K, B, ...]`."""
    return SimpleNamespace(batch=Batch(x), px=SimpleNamespace(mean=made))


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def similarity(a, b, sigma):
    """SSIM and its contrast part at every pixel of one channel (Wang et al. 2004, equations 12 and 13)."""

    def mean(image):
        return gaussian_filter(image, sigma, mode="mirror", truncate=3.5)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    contrast = (2 * cov + 0.03**2) / (va + vb + 0.03**2)
    return contrast * (2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2), contrast


@pytest.mark.parametrize(("side", "sigma", "edge"), [(12, 0.5, 2), (28, 1.5, 5)])
def test_ms_ssim_is_its_definition(side, sigma, edge):
    x, noise = images(2, 1, side, side), images(2, 1, side, side, seed=1)
    made = 0.7 * x + 0.3 * noise
    fine, coarse = (e / sum(EXPONENTS[:2]) for e in EXPONENTS[:2])
    expected = []
    for a, b in zip(made.squeeze(1).numpy(), x.squeeze(1).numpy(), strict=True):
        _, contrast = similarity(a, b, sigma)
        whole, _ = similarity(*(i.reshape(side // 2, 2, side // 2, 2).mean((1, 3)) for i in (a, b)), sigma)
        contrast = contrast[edge:-edge, edge:-edge].mean()
        whole = whole[edge:-edge, edge:-edge].mean()
        expected.append(((1 + contrast) / 2) ** fine * ((1 + whole) / 2) ** coarse)
    penalty = MSSSIM(SimpleNamespace(space=Image((1, side, side))))
    assert len(penalty.exponents) == 2
    assert penalty(seen(made[None], x), None, None).item() == pytest.approx(1 - np.mean(expected), rel=1e-4)


@pytest.mark.parametrize(
    "shape", [(1, 5, 5), (1, 8, 8), (3, 16, 16), (1, 28, 28), (3, 32, 32), (3, 64, 48), (1, 90, 90)]
)
def test_ms_ssim_fits_images_of_every_size(shape):
    penalty, x = MSSSIM(SimpleNamespace(space=Image(shape))), images(2, *shape)
    assert penalty(seen(x.expand(3, *x.shape), x), None, None).abs() < 1e-6
    made = images(1, 2, *shape, seed=1).requires_grad_()
    away = penalty(seen(made, x), None, None)
    assert 0 < away < 1
    assert torch.isfinite(torch.autograd.grad(away, made)[0]).all()


def test_ms_ssim_of_images_too_small_is_refused():
    with pytest.raises(Refusal, match="5x5"):
        MSSSIM(SimpleNamespace(space=Image((1, 4, 4))))


@pytest.fixture
def weights(tmp_path):
    """The weights of a convolutional VAE of GRAY images, as a run leaves them."""
    from safetensors.torch import save_file

    small = ("network.channels=[4,6]", "network.features=8", "latents.dim=3")
    vae, _ = build(GRAY, "network=conv", "likelihood=discretized_logistic", *small)
    save_file(vae.state_dict(), tmp_path / "model.safetensors")
    return vae, tmp_path / "model.safetensors"


def test_perceptual_distances_are_those_of_a_runs_encoder(weights):
    vae, file = weights
    penalty, x, made = (
        Perceptual(vae, weights=str(file)),
        images(5, 1, 8, 8).float(),
        images(2, 5, 1, 8, 8, seed=1).float(),
    )
    expected = 0.0
    for one in made:
        a, b = one, x
        for layer in vae.encoder.body:
            a, b = layer(a), layer(b)
            expected += (a - b).square().mean() / 2 if isinstance(layer, torch.nn.ReLU) else 0
    torch.testing.assert_close(penalty(seen(made, x), vae, None), expected)
    assert penalty(seen(x[None], x), vae, None) == 0


def test_perceptual_networks_stay_as_they_are(weights):
    vae, file = weights
    penalty = Perceptual(vae, weights=str(file)).train()
    assert not any(module.training for module in penalty.modules())
    assert not any(p.requires_grad for p in penalty.parameters())


def test_perceptual_distances_by_a_network_of_torchvision(tmp_path):
    from torchvision.models import get_model

    torch.manual_seed(0)
    torch.save(get_model("squeezenet1_1").state_dict(), tmp_path / "squeezenet.pth")
    penalty = Perceptual(
        SimpleNamespace(space=Image((1, 40, 40))), weights=str(tmp_path / "squeezenet.pth"), network="squeezenet1_1"
    )
    x, made = images(2, 1, 40, 40).float(), images(3, 2, 1, 40, 40, seed=1).float().requires_grad_()
    away = penalty(seen(made, x), None, None)
    assert away > 0 and penalty(seen(x[None], x), None, None) == 0
    assert torch.autograd.grad(away, made)[0].abs().sum() > 0


def test_perceptual_weights_must_be_there_and_fit(weights, tmp_path):
    vae, file = weights
    with pytest.raises(Refusal, match=r"penalty\.perceptual\.weights=outputs/latest/model\.safetensors"):
        build_all(GRAY, "likelihood=discretized_logistic", "penalty=perceptual")
    for words in (f"penalty.perceptual.weights={file}", f"penalty.perceptual.weights={tmp_path}"):
        with pytest.raises(Refusal, match="penalty"):
            build_all(Image((3, 8, 8), bins=2), "penalty=perceptual", words)
    from safetensors.torch import save_file

    save_file(build(BINARY, "model=mlp_vae", *SMALL)[0].state_dict(), tmp_path / "mlp.safetensors")
    with pytest.raises(Refusal, match="network=conv"):
        Perceptual(vae, weights=str(tmp_path / "mlp.safetensors"))


@pytest.mark.parametrize("name", ["ms_ssim", "image_adversary", "perceptual"])
def test_placeholders_of_missing_pixels_have_no_effect(name, weights):
    words = [f"penalty.perceptual.weights={weights[1]}"] if name == "perceptual" else []
    small = ("model=mlp_vae", *SMALL, "likelihood=discretized_logistic", f"penalty={name}", *words)
    vae, _, penalties = build_all(GRAY, *small)
    x, mask = examples(GRAY, 5).x, torch.ones(5, 1, 8, 8)
    mask[..., 4:] = 0
    black, white = (Batch(torch.where(mask == 1, x, hole), mask=mask) for hole in (0.0, 1.0))
    terms, penalty = vae(black, 2), penalties[name]
    losses = [lambda terms: penalty(terms, vae, None)]
    if hasattr(penalty, "critic"):
        losses.append(lambda terms: penalty.critic_loss(terms, vae))
    for loss in losses:
        found = []
        for batch in (black, white):
            torch.manual_seed(0)
            found.append(loss(replace(terms, batch=batch)))
        torch.testing.assert_close(*found)


# The configuration ----------------------------------------------------------------------------------------------------


def test_weights_may_be_numbers_or_schedules_in_the_configuration():
    small = ("model=mlp_vae", *SMALL, "penalty=[dip,mmd]")
    _, _, penalties = build_all(
        BINARY, *small, "penalty.mmd.weight=10", "schedule@penalty.dip.weight=linear", "penalty.dip.weight.epochs=4"
    )
    assert list(penalties) == ["dip", "mmd"]
    assert at(penalties.mmd.weight, 0.0) == 10
    assert [at(penalties.dip.weight, epoch) for epoch in (0.0, 1.0, None)] == [0.0, 0.25, 1.0]
    assert not build_all(BINARY, "model=mlp_vae", *SMALL)[2]


def test_the_command_line_overrides_the_penalty_of_a_preset():
    small = ("network=mlp", "network.hidden=[8]")
    assert list(build_all(BINARY, "model=info_vae", *small, "penalty=dip")[2]) == ["dip"]
    assert not build_all(BINARY, "model=info_vae", *small, "penalty=[]")[2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("penalty=mmd penalty.mmd.kernel=linear", r"penalty\.mmd\.kernel=imq"),
        ("penalty=mmd penalty.mmd.weight=high", r"Got penalty\.mmd\.weight=high, expected a number"),
        ("penalty=dip penalty.dip.kind=iii", r"penalty\.dip\.kind=i"),
        ("penalty=total_correlation penalty.total_correlation.estimator=exact", "use stratified"),
        ("penalty=sliced_wasserstein penalty.sliced_wasserstein.projections=0", "projections=50"),
        ("penalty=capacity penalty.capacity.nats.value=-1", r"penalty\.capacity\.nats=-1 must be at least 0"),
        ("penalty=total_correlation posterior=full_gaussian", "needs factorised; use posterior=gaussian"),
        ("penalty=capacity posterior=dirac objective=reconstruction", "needs log_prob; use .*posterior=gaussian"),
        ("penalty=mmd objective=dreg", r"objective=iwae needs no_penalty; use penalty=\[\]"),
        ("penalty=mmd objective=piwae", r"no_penalty; use penalty=\[\]"),
        ("penalty=gradient compile=true", "compile=false"),
        ("penalty=ms_ssim likelihood=pixel_autoregressive", "likelihood=bernoulli"),
    ],
)
def test_mismatched_settings_are_refused(words, says):
    with pytest.raises(Refusal, match=says):
        build_all(BINARY, "model=mlp_vae", *SMALL, *words.split())


@pytest.mark.parametrize("name", ["ms_ssim", "image_adversary", "perceptual"])
def test_penalties_of_images_are_refused_for_vectors(name):
    with pytest.raises(Refusal, match="needs image; use data="):
        build_all(VECTORS, "model=mlp_vae", *SMALL, "likelihood=gaussian", f"penalty={name}")


def test_dimensions_are_permuted_separately():
    z = torch.randn(2, 500, 1).expand(2, 500, 3) + torch.arange(3)
    shuffled = permute_dimensions(z)
    assert torch.equal(shuffled.sort(1).values, z.sort(1).values)
    for draw in shuffled:
        assert (torch.corrcoef(draw.T) - torch.eye(3)).abs().max() < 0.2
