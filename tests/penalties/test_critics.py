"""Adversarial penalties: model and critic each get only the gradient of their own loss."""

import pytest
import torch

from helpers import GRAY, build_all, examples
from vaekit.penalties import adversary, factor, image_adversary
from vaekit.schedules.schedule import at
from vaekit.training.module import Training

GAMES = {
    "factor": (factor, ["model=factor_vae", "penalty.factor.hidden=[32]"]),
    "adversary": (adversary, ["model=aae", "penalty.adversary.hidden=[32]"]),
    "image_adversary": (
        image_adversary,
        ["model=vae_gan", "penalty.image_adversary.channels=[4]", "penalty.image_adversary.features=8"],
    ),
}
SMALL = ["network=mlp", "network.hidden=[16]", "latents.dim=3", "likelihood=discretized_logistic"]


@pytest.fixture(params=GAMES)
def game(request):
    """Training in double precision, the only penalty and its module."""
    module, words = GAMES[request.param]
    vae, objective, penalties = build_all(GRAY, *words, *SMALL)
    training = Training(vae, objective, penalties, torch.optim.Adam).double()
    return training, penalties[request.param], module


@pytest.fixture
def batch():
    return examples(GRAY, 12, dtype=torch.float64)


def seeded(call, *args):
    torch.manual_seed(0)
    return call(*args)


def gradients(loss, parameters):
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]


def test_each_network_gets_the_gradient_of_its_own_loss(game, batch, monkeypatch):
    training, penalty, module = game
    terms = seeded(training.vae, batch, 1)
    torch.manual_seed(1)
    losses, _ = training._losses(terms, 0.5)
    torch.manual_seed(2)
    (critics,) = training._critic_losses(terms).values()
    training.zero_grad()
    (losses.mean() + critics).backward(retain_graph=True)  # what a step of training descends

    def own(noise, call, *args):
        torch.manual_seed(noise)
        return call(*args)

    monkeypatch.setattr(module, "frozen", lambda critic: critic)  # the plain loss of each, with nothing held fixed
    mine = training.objective(terms, 0.5).mean() + at(penalty.weight, 0.5) * own(1, penalty, terms, training.vae, 0.5)
    for part, loss in ((training.vae, mine), (penalty.critic, own(2, penalty.critic_loss, terms, training.vae))):
        parameters = [p for name, p in part.named_parameters() if ".prior." not in name]
        for p, gradient in zip(parameters, gradients(loss, parameters), strict=True):
            torch.testing.assert_close(p.grad if p.grad is not None else torch.zeros_like(p), gradient)
        assert any(p.grad.abs().sum() > 0 for p in parameters)


def test_no_parameter_gets_the_gradient_of_the_other_loss(game, batch):
    training, penalty, _ = game
    terms = seeded(training.vae, batch, 1)
    critic, vae = list(penalty.critic.parameters()), list(training.vae.parameters())
    assert not any(g.any() for g in gradients(penalty(terms, training.vae, 0.0), critic))
    assert not any(g.any() for g in gradients(penalty.critic_loss(terms, training.vae), vae))
    assert all(p.requires_grad for p in [*critic, *vae])


def test_the_step_of_each_network_lowers_its_own_loss(game, batch):
    training, penalty, _ = game

    def value(loss):
        return seeded(lambda: loss(seeded(training.vae, batch, 1)))

    for part, loss in (
        (training.vae, lambda terms: penalty(terms, training.vae, 0.0)),
        (penalty.critic, lambda terms: penalty.critic_loss(terms, training.vae)),
    ):
        before, parameters = value(loss), list(part.parameters())
        steps = gradients(before, parameters)
        with torch.no_grad():
            for p, step in zip(parameters, steps, strict=True):
                p -= 1e-4 * step
        assert value(loss) < before


def test_the_encoder_moves_codes_to_where_the_critic_expects_the_prior():
    """The critic calls draws of the prior real; the encoder moves its codes to where it calls them real."""
    vae, _, penalties = build_all(GRAY, *GAMES["adversary"][1], *SMALL)
    terms, penalty = vae(examples(GRAY, 50)), penalties.adversary
    with torch.no_grad():
        for p in penalty.critic.parameters():
            p.zero_()
    loss = penalty.critic_loss(terms, vae)
    assert loss.item() == pytest.approx(0.6931, abs=1e-4)  # a coin, log 2
    before = penalty(terms, vae, 0.0)
    with torch.no_grad():
        penalty.critic[-1].bias += 1  # a critic that says "real"
    assert penalty(terms, vae, 0.0) < before


def test_the_generator_loss_does_not_train_the_encoder(batch):
    """Only the features reach the encoder; fooling the critic is the likelihood's task (Larsen et al., algorithm 1)."""
    grads = []
    for generator_weight in (0.0, 100.0):
        vae, _, penalties = build_all(
            GRAY, *GAMES["image_adversary"][1], *SMALL, f"penalty.image_adversary.generator_weight={generator_weight}"
        )
        loss = penalties.image_adversary(seeded(vae, examples(GRAY, 12), 1), vae, 0.0)
        grads.append([gradients(loss, list(each.parameters())) for each in (vae.encoder, vae.likelihood.network)])
    for a, b in zip(*(each[0] for each in grads), strict=True):
        torch.testing.assert_close(a, b)
    assert any(not torch.allclose(a, b) for a, b in zip(*(each[1] for each in grads), strict=True))


def test_the_density_ratio_is_the_total_correlation():
    """For two standard normals with correlation 0.8 it is -log(1 - 0.64) / 2 = 0.51 nats."""
    from types import SimpleNamespace

    torch.manual_seed(0)
    latent = SimpleNamespace(levels=[SimpleNamespace(space=SimpleNamespace(size=2))])
    penalty = factor.Factor(SimpleNamespace(latents=latent), hidden=[32, 32])
    optimizer = torch.optim.Adam(penalty.critic.parameters(), 3e-3)

    def draw(n):
        z = torch.randn(1, n, 2)
        z[..., 1] = 0.8 * z[..., 0] + 0.6 * z[..., 1]
        return SimpleNamespace(steps=[SimpleNamespace(z=z)])

    for _ in range(400):
        optimizer.zero_grad()
        penalty.critic_loss(draw(256), None).backward()
        optimizer.step()
    assert penalty(draw(20_000), None, None).item() == pytest.approx(0.51, abs=0.06)


def test_gradients_of_each_network_are_clipped_separately():
    vae, objective, penalties = build_all(GRAY, *GAMES["factor"][1], *SMALL)
    training = Training(vae, objective, penalties, torch.optim.Adam)
    critic = list(penalties.factor.critic.parameters())
    optimizer = torch.optim.Adam([{"params": list(vae.parameters())}, {"params": critic}])
    for p in vae.parameters():
        p.grad = torch.full_like(p, 1e-6)
    for p in critic:
        p.grad = torch.full_like(p, 1e3)
    training.configure_gradient_clipping(optimizer, 1.0, "norm")
    assert torch.cat([p.grad.flatten() for p in critic]).norm().item() == pytest.approx(1, rel=1e-3)
    assert all((p.grad == 1e-6).all() for p in vae.parameters())
    training.configure_gradient_clipping(optimizer, 1e-7, "value")
    assert all(p.grad.abs().max() <= 1.001e-7 for p in training.parameters())
