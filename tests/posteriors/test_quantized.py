"""Vector and scalar quantization: nearest codes, gradients, and updates of the codebook."""

import math
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from helpers import BINARY, build, build_all, config, examples, step
from vaekit.plan.plan import Plan
from vaekit.posteriors.fsq import FSQ
from vaekit.refusal import Refusal
from vaekit.spaces import Codes

MAP = ("model=vq_vae", "likelihood=bernoulli", "network.channels=[8,8]", "latents.dim=4", "posterior.codes=6")

PARTS = ("likelihood=bernoulli", "network=resnet_map", "network.channels=[8,8]", "latents=map", "latents.dim=4")
PARTS += ("posterior=vq", "prior=code_uniform", "penalty=commitment")


def posterior(*overrides):
    vae, _ = build(BINARY, *MAP, *overrides)
    return vae, vae.latents.levels[0].posterior


@pytest.mark.parametrize("depth", [1, 3])
def test_each_code_is_the_nearest_to_the_residual(depth):
    vae, vq = posterior(f"posterior.depth={depth}")
    vae.double().eval()
    features = vae.encoder(examples(BINARY, 5, dtype=torch.float64).x)
    (drawn,), state = vae.infer(features)
    left, z = vq.head(features), drawn.z[0].unflatten(1, (depth, 4))
    assert vae.latents.levels[0].space.positions == (depth, 2, 2)
    for stage in range(depth):
        distances = (left.movedim(1, -1).unsqueeze(-2) - vq.atoms).norm(dim=-1)
        assert torch.equal(z[:, stage], vq.atoms[distances.argmin(-1)].movedim(-1, 1))
        left = left - z[:, stage]
    torch.testing.assert_close(state[0], z.sum(1))


@pytest.mark.parametrize("depth", [1, 3])
def test_the_gradient_passes_straight_through_to_what_was_quantized(depth):
    vae, vq = posterior(f"posterior.depth={depth}")
    features = vae.encoder(examples(BINARY, 5).x)
    seen = []
    vq.head.register_forward_hook(lambda module, inputs, out: seen.append(out))
    _, state = vae.infer(features)
    weights = torch.randn_like(state)
    torch.testing.assert_close(torch.autograd.grad((state * weights).sum(), seen[0])[0], weights[0])


@pytest.mark.parametrize("ema", [True, False])
def test_the_loss_does_not_change_with_the_batch_size(ema):
    vae, objective, penalties = build_all(BINARY, *MAP, f"posterior.ema={ema}")
    step(vae, objective, examples(BINARY, 20))
    batch = examples(BINARY, 12, seed=1)

    def losses(batch, training):
        # what a step learns from is measured before the codes move
        state = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
        terms = vae.train(training)(batch, 1)
        found = objective(terms, None) + penalties["commitment"](terms, vae, None), terms.distortion
        vae.load_state_dict(state)
        return found[0].detach(), found[1].detach()

    for training in (True, False):
        whole, distortion = losses(batch, training)
        for rows in (1, 5, 6):
            parts = [losses(part, training) for part in batch.split(rows)]
            torch.testing.assert_close(torch.cat([part[1] for part in parts]), distortion)
            torch.testing.assert_close(torch.cat([part[0] for part in parts]).mean(), whole.mean())


def test_codes_follow_the_mean_of_what_is_quantized_to_them():
    _, vq = posterior("posterior.decay=0.5", "posterior.revive=0")
    points = torch.randn(40, 4)
    for _ in range(2):
        index = torch.arange(40) % 5  # the sixth is never used
        before = vq.atoms
        vq.update_codes(points, index)
    expected = torch.stack([points[index == code].mean(0) for code in range(5)])
    torch.testing.assert_close(vq.atoms[:5], expected)
    assert torch.equal(vq.atoms[5], before[5])
    vq.update_codes(points + 1, index)  # half of the weight so far, and half of what comes
    weight = 0.5 / (1 - 0.5**3)
    torch.testing.assert_close(vq.atoms[:5], expected + weight)


@pytest.mark.long
@pytest.mark.parametrize("ema", [True, False])
def test_unused_codes_are_moved(ema):
    vae, vq = posterior(f"posterior.ema={ema}", "posterior.decay=0.9")
    objective = build(BINARY, *MAP)[1]
    with torch.no_grad():
        vq.atoms[1:] = 100 + torch.rand(5, 4)
    batch = examples(BINARY, 20)
    used = []
    for _ in range(80):
        step(vae, objective, batch)
        used.append(len(vae(batch).steps[0].q.indices.mode.unique()))
    assert (vq.atoms.abs() < 50).all()
    assert max(used) > 3


def test_codes_do_not_move_while_nothing_is_learned():
    vae, vq = posterior()
    before = vq.atoms
    with torch.no_grad():
        vae.train()(examples(BINARY, 5), 1)
    vae.eval()(examples(BINARY, 5), 1)
    assert vq.atoms is before
    vae.train()(examples(BINARY, 5), 1)
    assert not torch.equal(vq.atoms, before)


def test_codes_learned_by_gradient_get_it_from_likelihood_and_commitment():
    vae, objective, penalties = build_all(BINARY, *MAP, "posterior.ema=false")
    vae.eval()
    atoms, terms = vae.latents.levels[0].posterior.atoms, vae(examples(BINARY, 5), 1)
    used = terms.steps[0].q.indices.mode.unique()
    unused = [code for code in range(6) if code not in used]
    for loss in (objective(terms, None).mean(), penalties["commitment"](terms, vae, None)):
        grad = torch.autograd.grad(loss, atoms, retain_graph=True)[0]
        assert grad[used].abs().sum() > 0
        assert not grad[unused].any()


@pytest.mark.parametrize("ema", [True, False])
def test_commitment_is_the_papers(ema):
    vae, _, penalties = build_all(BINARY, *MAP, f"posterior.ema={ema}")
    vae.eval()
    vq, batch = vae.latents.levels[0].posterior, examples(BINARY, 5)
    terms = vae(batch, 1)
    h, e = vq.head(vae.encoder(batch.x)), terms.steps[0].z[0]
    square = (h - e).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalties["commitment"](terms, vae, None), square if ema else 5 * square)


def _follow(rank, folder, points, index):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29577")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(rank)
    _, vq = posterior()
    for half in (slice(0, 20), slice(20, 40)):  # half of each to each process
        vq.update_codes(points[half][rank::2], index[half][rank::2])
    torch.save((vq.atoms, vq.cluster_size), folder / str(rank))
    torch.distributed.destroy_process_group()


@pytest.mark.long
def test_processes_move_codes_together(tmp_path: Path):
    points, index = torch.randn(40, 4), torch.arange(40) % 5
    mp.spawn(_follow, (tmp_path, points, index), nprocs=2)
    (first, uses), (second, _) = (torch.load(tmp_path / str(rank)) for rank in (0, 1))
    assert torch.equal(first, second)
    _, vq = posterior()
    for half in (slice(0, 20), slice(20, 40)):
        vq.update_codes(points[half], index[half])
    torch.testing.assert_close(first[:5], vq.atoms[:5])
    torch.testing.assert_close(uses, vq.cluster_size)


def test_scalars_are_rounded_to_their_levels():
    vae, _ = build(BINARY, *MAP[:3], "model=fsq_vae", "posterior.levels=[2,3,4,5]", "latents.dim=8")
    vae.double()
    fsq = vae.latents.levels[0].posterior
    assert len(fsq.atoms) == 2 * 3 * 4 * 5
    h = 5 * torch.randn(4000, 4, dtype=torch.float64)
    bounded = fsq.bound(h).round()
    for number, levels in enumerate((2, 3, 4, 5)):
        assert bounded[:, number].unique().tolist() == [n - levels // 2 for n in range(levels)]
    with torch.no_grad():
        fsq.head.weight.mul_(30)
    (drawn,), _ = vae.infer(vae.encoder(examples(BINARY, 50, dtype=torch.float64).x))
    exact = fsq.bound(fsq.space.points(fsq.head(vae.encoder(examples(BINARY, 50, dtype=torch.float64).x))))
    torch.testing.assert_close(fsq.space.points(drawn.z[0]), exact.round() / (fsq.levels // 2))
    assert torch.equal(drawn.p.index(drawn.z), drawn.q.indices.mode.unsqueeze(0))


@pytest.mark.parametrize("levels", [2, 3, 1001, 1002, 5000])
def test_rounding_ends_where_the_levels_end_however_many_they_are(levels):
    fsq = FSQ((3,), Codes((1,)), [levels])
    ends = fsq.bound(torch.tensor([[-100.0], [100.0]])).round() + levels // 2
    assert ends.flatten().tolist() == [0, levels - 1]


def test_the_likelihood_of_deterministic_codes_is_one_sum():
    """log p(x) >= log p(x | z) + log p(z), whatever the number of draws: they are all alike."""
    vae, _ = build(BINARY, *MAP)
    vae.eval()
    x = examples(BINARY, 5).x
    terms = vae(examples(BINARY, 5), 1)
    expected = terms.log_px[0] - 4 * math.log(6)
    torch.testing.assert_close(vae.log_likelihood(x, 1), expected)
    torch.testing.assert_close(vae.log_likelihood(x, 50), expected)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["posterior.codes=0"], "use posterior.codes=512"),
        (["posterior.depth=0"], "use posterior.depth=1"),
        (["posterior.decay=1"], "use posterior.decay=0.99"),
        (["posterior.revive=-1"], "use posterior.revive=0.03"),
        (["posterior=fsq", "posterior.levels=[8,1]", "penalty=[]"], "at least 2 each"),
        (["posterior=fsq", "posterior.levels=[8,6,5]", "penalty=[]"], "use latents.dim=3"),
        (["posterior=gumbel", "posterior.codes=3", "penalty=[]"], "use latents.dim=3"),
        (["posterior=gumbel", "posterior.codes=1", "penalty=[]"], "use posterior.codes=8"),
        (["posterior=gumbel", "posterior.codes=2", "posterior.temperature.value=0", "penalty=[]"], "above 0"),
        (["network=conv"], "use network=pyramid or resnet_map"),
        (["posterior=gaussian", "prior=standard_normal"], "use posterior=vq prior=code_uniform"),
        (["prior=standard_normal"], "use prior="),
        (["objective=iwae", "penalty=[]"], "use objective=elbo"),
        (["prior=autoregressive", "prior.heads=3"], "use prior.heads=1"),
        (["latents.dim=0"], "use latents.dim=64"),
    ],
)
def test_refusals_say_what_to_type(overrides, says):
    with pytest.raises(Refusal, match=says):
        build_all(BINARY, *PARTS, *overrides)


@pytest.mark.parametrize(
    ("posterior", "prior", "objective", "trains"),
    [
        ("bernoulli", "autoregressive", "elbo", False),
        ("bernoulli", "autoregressive", "vimco", True),
        ("bernoulli", "code_uniform", "elbo", True),
        ("fsq", "autoregressive", "elbo", True),
    ],
)
def test_an_objective_without_a_gradient_for_the_prior_is_refused_in_training(posterior, prior, objective, trains):
    words = (f"posterior={posterior}", f"prior={prior}", f"objective={objective}", "penalty=[]")
    build(BINARY, *PARTS, *words)  # evaluated it may be
    with nullcontext() if trains else pytest.raises(Refusal, match="use prior=code_uniform"):
        Plan.read(config(*PARTS, *words), BINARY, training=True)
