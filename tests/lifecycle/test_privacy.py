"""Differentially private training: gradients of rows, noise, accounting, and what a run says of it."""

import json
import math
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import norm

import vaekit
from helpers import GRAY, TABLE, TEXT, VECTORS, build_all, examples
from vaekit.batch import Batch
from vaekit.data.batches import PoissonBatches
from vaekit.data.source import Rows
from vaekit.refusal import Refusal
from vaekit.sklearn import VAEDetector
from vaekit.training.privacy import DifferentialPrivacy, check_rows_are_separate, clipped_sum

PRIVATE = ["privacy=dp", "trainer.max_epochs=2", "data.batch_size=256"]


@pytest.mark.parametrize("clip", [0.1, 5.0, 1e6])
def test_gradients_of_rows_are_those_of_rows_alone(clip):
    vae, objective, _ = build_all(VECTORS, "model=ae", "likelihood=gaussian", "network=mlp", "network.hidden=[16]")
    batch = examples(VECTORS, 5)
    expected = {name: torch.zeros_like(weight) for name, weight in vae.named_parameters()}
    for row in batch.split(1):
        vae.zero_grad()
        objective(vae(row), 0.0).sum().backward()
        gradients = {name: weight.grad for name, weight in vae.named_parameters() if weight.grad is not None}
        factor = min(1.0, clip / math.sqrt(sum(gradient.square().sum() for gradient in gradients.values())))
        for name, gradient in gradients.items():
            expected[name] += factor * gradient
    found, loss = clipped_sum(vae, objective, batch, 0.0, clip)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * clip)
    assert loss.item() == pytest.approx(objective(vae(batch), 0.0).mean().item(), rel=1e-4)


def test_each_row_has_its_own_draws():
    vae, objective, _ = build_all(GRAY, "model=mlp_vae", "network.hidden=[16]")
    batch = examples(GRAY, 1)
    same = Batch(batch.x.expand(64, -1, -1, -1))
    torch.manual_seed(0)
    _, loss = clipped_sum(vae, objective, same, 0.0, 1.0)
    losses = objective(vae(same), 0.0)
    assert abs(loss - losses.mean()) < 5 * losses.std() / 8
    _, one = clipped_sum(vae, objective, batch, 0.0, 1.0)
    assert abs(one - loss) > 1e-4  # which equal draws in every row would make equal, for one seed and another


@pytest.mark.parametrize("space", [GRAY, VECTORS, TABLE], ids=["images", "vectors", "table"])
def test_noise_has_its_scale_and_no_seed(space):
    likelihood = {GRAY: "discretized_logistic", VECTORS: "gaussian", TABLE: "table"}[space]
    vae, objective, _ = build_all(space, "model=mlp_vae", f"likelihood={likelihood}", "network.hidden=[64]")
    privacy = DifferentialPrivacy(clip=2.0)
    privacy.start(rows=1000, batch_size=100, steps=50)

    def gradient():
        torch.manual_seed(0)
        vae.zero_grad()
        privacy.loss(vae, objective, examples(space, 10), 0.0).backward()
        return torch.cat([weight.grad.flatten() for weight in vae.parameters()])

    difference = gradient() - gradient()
    assert difference.std() == pytest.approx(math.sqrt(2) * privacy.noise * 2.0 / 100, rel=0.05)


def test_a_row_without_a_finite_gradient_changes_nothing():
    vae, objective, _ = build_all(VECTORS, "model=ae", "likelihood=gaussian", "network=mlp", "network.hidden=[16]")
    x = examples(VECTORS, 3).x
    expected, _ = clipped_sum(vae, objective, Batch(x), 0.0, 1.0)
    for wrong in (1e30, math.inf, math.nan):
        found, _ = clipped_sum(vae, objective, Batch(torch.cat([x, torch.full_like(x[:1], wrong)])), 0.0, 1.0)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["epsilon", "clip"])
def test_bounds_are_finite(name, wrong):
    with pytest.raises(Refusal, match=f"{name}={wrong} must be above 0 and finite; use {name}=1"):
        DifferentialPrivacy(**{name: wrong})


def test_noise_is_chosen_by_a_run_that_stopped_before_its_first_step():
    stopped, resumed = DifferentialPrivacy(), DifferentialPrivacy()
    resumed.load_state_dict(stopped.state_dict())
    resumed.start(rows=1000, batch_size=100, steps=50)
    assert 0.9 < resumed.spent(50) <= 1


@pytest.mark.filterwarnings("ignore:Optimal order")
def test_a_budget_that_no_noise_keeps_is_refused_with_a_larger_one():
    wrong = DifferentialPrivacy(epsilon=0.5, delta=1e-300)
    with pytest.raises(Refusal, match=r"Use larger ones, for example privacy\.epsilon=1 privacy\.delta=null"):
        wrong.start(rows=1000, batch_size=100, steps=50)
    DifferentialPrivacy(epsilon=1.0, delta=None).start(rows=1000, batch_size=100, steps=50)


def test_without_opacus_a_new_run_and_a_resumed_one_name_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    resumed = DifferentialPrivacy()
    resumed.load_state_dict({"noise": 1.0, "rate": 0.1})
    for privacy in (DifferentialPrivacy(), resumed):
        with pytest.raises(Refusal, match="pip install 'vaekit\\[privacy\\]'"):
            privacy.start(rows=1000, batch_size=100, steps=50)


@pytest.mark.parametrize(
    "use",
    [
        lambda: vaekit.build(VECTORS, "privacy=dp"),
        lambda: VAEDetector(max_steps=1, overrides=("privacy=dp",)).fit(np.eye(20)),
    ],
    ids=["build", "sklearn"],
)
def test_privacy_is_refused_where_nothing_would_add_the_noise(use):
    with pytest.raises(Refusal, match=r'Use vaekit\.fit\(x, "privacy=dp"\)'):
        use()


def test_an_empty_batch_gives_noise_alone():
    vae, objective, _ = build_all(VECTORS, "model=mlp_vae", "likelihood=gaussian", "network.hidden=[16]")
    privacy = DifferentialPrivacy()
    privacy.start(rows=1000, batch_size=100, steps=50)
    loss = privacy.loss(vae, objective, Batch(torch.zeros(0, 6)), 0.0)
    loss.backward()
    assert loss == 0
    assert all(weight.grad.abs().sum() > 0 for weight in vae.parameters())


def test_batches_draw_every_row_with_the_same_probability():
    rows = Rows(np.zeros((100, 1), np.float32))
    batches = PoissonBatches(rows, torch.arange(0, 100, 2), 10, epoch=lambda: 0)  # 50 of the rows
    assert len(batches) == 5
    drawn = torch.stack([batch.row.bincount(minlength=100) for _ in range(200) for batch in batches])
    assert drawn.max() == 1
    assert not drawn[:, 1::2].any()
    counts = drawn.sum(1).double()
    assert counts.mean() == pytest.approx(10, abs=5 * math.sqrt(8 / 1000))
    assert counts.var() == pytest.approx(8, rel=0.25)  # of a binomial distribution
    frequencies = drawn[:, ::2].double().mean(0)
    assert (frequencies - 0.2).abs().max() < 5 * math.sqrt(0.16 / 1000)
    other = [batch.row.tolist() for batch in PoissonBatches(rows, torch.arange(0, 100, 2), 10, epoch=lambda: 0)]
    assert other != [batch.row.tolist() for batch in batches]


def test_an_interrupted_pass_has_the_rest_of_its_batches():
    batches = PoissonBatches(Rows(np.zeros((100, 1), np.float32)), torch.arange(100), 10, epoch=lambda: 0)
    batches.load_state_dict({"epoch": 0, "batch": 7})
    assert len(list(batches)) == 3


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_epsilon_is_at_least_that_of_the_gaussian_mechanism(steps):
    """All rows in every step: Balle and Wang (2018), https://arxiv.org/abs/1805.06530, theorem 8."""
    privacy = DifferentialPrivacy(epsilon=1.0, delta=1e-5)
    privacy.start(rows=50, batch_size=50, steps=steps)
    mu = math.sqrt(steps) / privacy.noise

    def delta(epsilon):
        return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)

    spent = privacy.spent(steps)
    assert 0.95 < spent <= 1
    assert delta(spent) < 1e-5 < delta(0.7 * spent)


def test_less_is_spent_by_fewer_steps_and_rarer_rows():
    privacy = DifferentialPrivacy()
    privacy.start(rows=1000, batch_size=100, steps=50)
    assert privacy.spent(0) == 0 < privacy.spent(10) < privacy.spent(50) <= 1
    rarer = DifferentialPrivacy()
    rarer.start(rows=1000, batch_size=10, steps=50)
    assert rarer.noise < privacy.noise
    assert rarer.delta == 1e-4


def test_a_run_says_what_it_has_spent(train):
    done = train(*PRIVATE, folder="a")
    assert done.code == 0, done.err
    metrics = json.loads(Path("a/metrics.json").read_text())
    assert 0.9 < metrics["privacy/epsilon"] <= 1
    assert metrics["privacy/delta"] == pytest.approx(0.1 / 1294, rel=1e-3)
    assert "privacy/epsilon" in done.out
    assert "train/" not in Path("a/metrics.csv").read_text()


def test_an_optimizer_of_several_gradients_a_step_is_refused(train):
    done = train(*PRIVATE[:1], "optimizer.algorithm._target_=torch.optim.LBFGS", "~optimizer.algorithm.fused")
    assert done.code == 1
    assert "one gradient in a step; this optimizer computes several. Use optimizer=adam." in done.err


def test_a_run_starts_at_no_statistics_of_rows(train):
    assert train(*PRIVATE[:1], "trainer.max_epochs=0", folder="a").code == 0
    assert train("trainer.max_epochs=0", folder="b").code == 0
    private, plain = (load_file(f"{folder}/model.safetensors")["likelihood.bias"] for folder in "ab")
    assert private.abs().max() == 0 < plain.abs().max()


@pytest.mark.long
def test_resumption_keeps_the_noise_and_the_budget(train):
    assert train(*PRIVATE, folder="a").code == 0
    on = partial(train, "ckpt_path=a/checkpoints/last.ckpt")
    longer = on(*PRIVATE[::2], "trainer.max_epochs=3")
    assert longer.code == 1
    assert "spend epsilon=" in longer.err
    assert "privacy.epsilon=1" in longer.err
    other = on("privacy=dp", "trainer.max_epochs=3", "data.batch_size=64")
    assert "Resume with data.batch_size=256." in other.err
    without = on(*PRIVATE[2:], "trainer.max_epochs=3")
    assert "another privacy" in without.err


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (["penalty=mmd"], "penalty=[]"),
        (["condition=label"], "'~condition'"),
        (["data.labels=100"], "data.labels=null"),
        (["trainer.devices=2"], "trainer.devices=1"),
        (["trainer.num_nodes=2"], "trainer.devices=1 trainer.num_nodes=1"),
        (["prior=exemplar"], "prior=vamp"),
        (["trainer.precision=bf16-true"], "trainer.precision=32-true"),
        (["trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches=1"),
        (["trainer.max_epochs=-1"], "trainer.max_epochs=50"),
        (["--find-lr"], "find_lr=false"),
        (["privacy.epsilon=0"], "privacy.epsilon=1"),
        (["privacy.clip=-1"], "privacy.clip=1"),
        (["privacy.delta=2"], "privacy.delta=1e-5"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_what_is_not_private_is_refused_with_what_works(train, words, fix):
    done = train("privacy=dp", *words)
    assert done.code == 1
    assert f"se {fix}" in done.err
    assert "Traceback" not in done.err
    fixed = {each.partition("=")[0].strip("'~") for each in fix.split()}
    changed = [word for word in words if word.partition("=")[0] not in fixed]
    changed = [word for word in changed if not word.startswith("--")]
    assert train("privacy=dp", "--dry-run", *changed, *fix.strip("'").split()).code == 0


def test_parts_that_mix_rows_are_refused(train):
    done = train("privacy=dp", "posterior=vq", "prior=code_uniform", "trainer.max_epochs=1")
    assert done.code == 1
    assert "a part of this model does not support" in done.err
    assert "Use other parts, for example model=mlp_vae." in done.err


def test_rows_of_text_are_refused():
    vae, objective, _ = build_all(TEXT, "model=text_vae", "network.width=4", "network.embedding=4")
    with pytest.raises(Refusal, match="a part of this model"):
        check_rows_are_separate(vae, objective, examples(TEXT, 2))


@pytest.mark.slow
def test_attacks_that_recognize_rows_are_at_chance_at_epsilon_one(here):
    """Rows of pure noise, in which there is nothing to learn but the rows themselves."""
    rows = np.random.default_rng(0).normal(size=(400, 20)).astype("float32")
    words = ["model=mlp_vae", "network.hidden=[64]", "latents.dim=8", "objective.beta=0.1", "optimizer.lr=3e-3"]
    words += [
        "trainer=cpu",
        "trainer.max_epochs=60",
        "callbacks.best=null",
        "data.test=0.4",
        "evaluation.num_samples=5",
    ]
    plain = vaekit.fit(rows, *words, "data.batch_size=32").audit(n=200, attacked=150)
    private = vaekit.fit(rows, *words, "data.batch_size=64", "privacy=dp").audit(n=200, attacked=150)
    assert plain["model/low"] > 0.75  # .81
    assert plain["distance/low"] > 0.55
    for name in ("distance", "density", "classifier", "model"):
        assert private[f"{name}/low"] < 0.5
        assert private[f"{name}/auc"] < 0.6
