"""The flow-matching prior, fitted to draws whose density is known."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from helpers import BINARY, SMALL, build
from vaekit.distributions.fitting import fitting_loss
from vaekit.priors.flow_matching import FlowMatching
from vaekit.refusal import Refusal
from vaekit.spaces import Real

CENTERS = torch.tensor([[2.0, 0.0], [-2.0, 1.0], [0.0, -2.0]])
TRUTH = MixtureSameFamily(Categorical(torch.tensor([0.5, 0.3, 0.2])), Independent(Normal(CENTERS, 0.5), 1))


def fit(prior, draw, steps, lr=3e-3):
    """Fit the prior to what `draw(n)` gives: z, or z and a context."""
    z, *_ = draw(4096)
    prior.start_at(z)
    optimizer = torch.optim.Adam(prior.parameters(), lr)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        z, *context = draw(256)
        optimizer.zero_grad()
        fitting_loss(prior(*context), z).mean().backward()
        optimizer.step()
        decay.step()
    return prior.requires_grad_(False)


@pytest.mark.parametrize("path", ["optimal_transport", "variance_preserving"])
@pytest.mark.long
def test_a_fitted_prior_has_the_density_of_its_data(path):
    torch.manual_seed(0)
    prior = fit(FlowMatching(Real((2,)), width=64, blocks=2, path=path), lambda n: (TRUTH.sample((n,)),), 700)
    z, p = TRUTH.sample((2000,)), prior()
    gap = (TRUTH.log_prob(z) - p.log_prob(z)).mean().item()  # KL(truth || p), nats
    assert -0.02 < gap < 0.1
    bound = p.lower_bound(z.repeat(10, 1)).mean().item()
    assert bound < p.log_prob(z).mean().item() + 0.1
    assert bound > TRUTH.log_prob(z).mean().item() - 0.3
    drawn = p.sample((4000,))
    nearest = torch.cdist(drawn, CENTERS).argmin(1).bincount(minlength=3) / len(drawn)
    torch.testing.assert_close(nearest, torch.tensor([0.5, 0.3, 0.2]), atol=0.04, rtol=0)


@pytest.mark.long
def test_a_context_chooses_the_component():
    torch.manual_seed(0)

    def draw(n):
        which = torch.randint(3, (n,))
        return CENTERS[which] + 0.5 * torch.randn(n, 2), torch.nn.functional.one_hot(which, 3).float()

    prior = fit(FlowMatching(Real((2,)), width=64, blocks=2, context_shape=(3,)), draw, 400)
    context = torch.eye(3).repeat_interleave(1000, 0)
    z = prior(context).sample()
    torch.testing.assert_close(z.reshape(3, 1000, 2).mean(1), CENTERS, atol=0.15, rtol=0)
    torch.testing.assert_close(z.reshape(3, 1000, 2).std(1), torch.full((3, 2), 0.5), atol=0.1, rtol=0)
    exact = Independent(Normal(CENTERS.repeat_interleave(1000, 0), 0.5), 1).log_prob(z)
    assert prior(context).log_prob(z).mean().item() == pytest.approx(exact.mean().item(), abs=0.15)


@pytest.mark.parametrize("shape", [(6,), (2, 8, 8), (3, 5, 7)])
def test_before_training_it_is_the_normal_of_its_codes(shape):
    torch.manual_seed(0)
    prior = FlowMatching(Real(shape), width=8, blocks=1, steps=4)
    codes = 3 + 0.5 * torch.randn(2000, *shape)
    prior.start_at(codes)
    exact = Normal(codes.mean(0), codes.std(0)).log_prob(codes[:3]).flatten(1).sum(1)
    torch.testing.assert_close(prior().log_prob(codes[:3]), exact, atol=0.05 * math.prod(shape), rtol=0)
    with torch.inference_mode():
        assert prior().log_prob(prior().sample((2, 3))).shape == (2, 3)


def test_the_divergence_of_a_map_is_that_of_its_jacobian():
    torch.manual_seed(0)
    prior = FlowMatching(Real((1, 4, 4)), width=8, blocks=1)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    y, t = torch.randn(1, 1, 4, 4), torch.tensor(0.3)
    whole = torch.autograd.functional.jacobian(lambda y: prior.velocity(y, t), y).reshape(16, 16)
    axes = torch.eye(16).reshape(16, 1, 1, 4, 4)
    _, divergence = prior()._velocity_and_divergence(y, t, axes)
    torch.testing.assert_close(divergence[0], whole.trace())


@pytest.mark.parametrize("context", [(3,), (3, 4, 4)])
def test_maps_read_features_or_maps_as_context(context):
    torch.manual_seed(0)
    prior = FlowMatching(Real((2, 4, 4)), width=8, blocks=1, steps=2, context_shape=context)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    given, z = torch.randn(5, *context), torch.randn(5, 2, 4, 4)
    alone = torch.stack([prior(each).log_prob(one) for each, one in zip(given, z, strict=True)])
    torch.testing.assert_close(prior(given).log_prob(z), alone)
    assert not torch.allclose(prior(given.flip(0)).log_prob(z), alone)
    assert prior(given).sample((7,)).shape == (7, 5, 2, 4, 4)


def test_guidance_adds_to_what_the_context_changes():
    """The draws of a linear velocity are those of the velocity that guidance makes of it; the density is not."""
    torch.manual_seed(0)
    prior = FlowMatching(Real((2,)), width=8, blocks=1, context_shape=(3,), drop=0.1, guidance=2.5)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    context, y, t = torch.randn(4, 3), torch.randn(4, 2), torch.tensor(0.4)
    with_it, without = prior.velocity(y, t, context), prior.velocity(y, t, prior.unknown.expand(4, 3))
    p = prior.eval()(context)
    torch.testing.assert_close(p.drawn(y, t), 2.5 * with_it - 1.5 * without)
    torch.testing.assert_close(p.tempered(0.5).expand((7, 4)).drawn(y, t), p.drawn(y, t))
    plain = FlowMatching(Real((2,)), width=8, blocks=1, context_shape=(3,), drop=0.1).eval()
    plain.load_state_dict(prior.state_dict())
    torch.testing.assert_close(p.log_prob(y), plain(context).log_prob(y))


def test_fitting_leaves_out_a_fraction_of_the_contexts():
    torch.manual_seed(0)
    prior = FlowMatching(Real((2,)), width=8, blocks=1, context_shape=(3,), drop=0.25)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    context, y, t = torch.randn(1, 3).expand(4000, 3), torch.zeros(4000, 2), torch.tensor(0.4)
    without = prior.velocity(y[0], t, prior.unknown)
    dropped = torch.isclose(prior(context).velocity(y, t), without).all(1).float().mean().item()
    assert dropped == pytest.approx(0.25, abs=0.03)
    assert not torch.isclose(prior.eval()(context).velocity(y, t), without).all(1).any()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"guidance": 2.0, "context_shape": (3,)}, "drop=0.1, or use guidance=1"),
        ({"drop": 0.1}, "requires a condition; use drop=0"),
        ({"drop": 1.0, "context_shape": (3,)}, "use drop=0.1"),
        ({"noise": -1.0}, "use noise=0"),
    ],
)
def test_refusals_say_what_to_type(settings, says):
    with pytest.raises(Refusal, match=says):
        FlowMatching(Real((2,)), **settings)


def energy_distance(a, b):
    """Of two sets of draws `[N, D]`: 0 where their distributions are equal."""
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


@pytest.mark.long
def test_reflow_takes_fewer_steps():
    torch.manual_seed(0)
    settings = {"width": 64, "blocks": 2}
    teacher = fit(FlowMatching(Real((2,)), **settings), lambda n: (TRUTH.sample((n,)),), 600).eval()
    start = torch.randn(20_000, 2)
    z = teacher().transport(start)
    student = FlowMatching(Real((2,)), steps=2, **settings)
    student.load_state_dict(teacher.state_dict())
    optimizer = torch.optim.Adam(student.parameters(), 1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        part = torch.randint(len(z), (256,))
        optimizer.zero_grad()
        student().rectifying_loss(z[part], start[part]).mean().backward()
        optimizer.step()
        decay.step()
    student.requires_grad_(False)
    teacher.steps = 2
    truth, fresh = TRUTH.sample((4000,)), torch.randn(4000, 2)
    before, after = (energy_distance(prior().transport(fresh), truth) for prior in (teacher, student))
    assert after < before / 3
    student.steps = 20
    axis = torch.linspace(-6, 6, 121)
    density = student().log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert density.sum().item() * 0.1**2 == pytest.approx(1, abs=0.02)


def test_guidance_is_of_a_model_with_a_condition():
    small = ("model=mlp_vae", "likelihood=bernoulli", *SMALL, "prior=flow_matching", "prior.width=8", "prior.drop=0.1")
    vae, _ = build(BINARY, *small, "condition=label", "condition.classes=10", "prior.guidance=2")
    assert vae.eval().sample(3, condition=7).shape == (3, *BINARY.shape)
    with pytest.raises(Refusal, match=r"prior\.drop=0\.1 requires a condition; use prior\.drop=0"):
        build(BINARY, *small)
