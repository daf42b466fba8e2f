"""Imputation: against closed forms, and as a task."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch

from helpers import build
from vaekit.data.arrays import Arrays
from vaekit.data.module import DataModule
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real, Table
from vaekit.spaces.column import Column
from vaekit.tasks.impute import draw_observed, impute
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.shared.imputation import IncompleteRows, gibbs, importance_weighted, train_on_missing
from vaekit.tasks.shared.imputers import classical
from vaekit.written import Number

SIGMA = 0.6
W = torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.8, 0.3], [0.4, -1.4], [-0.5, 0.9]])
W[4, 1] = -(W[:4, 0] @ W[:4, 1]) / W[4, 0]  # orthogonal columns: the exact posterior is diagonal
BIAS = torch.tensor([0.3, -0.2, 0.1, 0.5, -0.4])


@pytest.fixture
def linear():
    """x = W z + BIAS + SIGMA e, and its exact posterior q(z | x)."""
    settings = ("network.hidden=[]", "latents.dim=2", "likelihood=gaussian", "likelihood.scale=fixed")
    vae, _ = build(Real((5,)), "model=mlp_vae", *settings, f"likelihood.value={SIGMA}")
    variance = 1 / (1 + W.square().sum(0) / SIGMA**2)
    head = vae.latents.levels[0].posterior.head
    with torch.no_grad():
        vae.likelihood.network.body[1].weight.copy_(W)
        vae.likelihood.bias.copy_(BIAS[None])
        read = variance[:, None] * W.T / SIGMA**2
        head.weight.copy_(torch.cat([read, torch.zeros(2, 5)]))
        head.bias.copy_(torch.cat([-read @ BIAS, variance.sqrt().log()]))
    return vae.eval()


def rows_of(vae, n, seed=0):
    torch.manual_seed(seed)
    return vae.sample(n, draw=True)


def conditional(x, o):
    """Mean `[N, 2]` and covariance of z given the observed columns o."""
    covariance = torch.linalg.inv(torch.eye(2) + W[o].T @ W[o] / SIGMA**2)
    return (x[:, o] - BIAS[o]) @ W[o] / SIGMA**2 @ covariance, covariance


def test_the_fixture_is_the_intended_model(linear):
    x = rows_of(linear, 20)
    exact = torch.distributions.MultivariateNormal(BIAS, W @ W.T + SIGMA**2 * torch.eye(5)).log_prob(x)
    assert torch.allclose(linear.log_likelihood(x, 1), exact, atol=1e-3)  # one draw of the exact posterior is enough


@pytest.mark.long
@pytest.mark.parametrize("method", ["miwae", "gibbs"])
def test_imputation_of_a_linear_gaussian_model_is_its_conditional_distribution(linear, method):
    x, o, m = rows_of(linear, 4), [0, 2], [1, 3, 4]
    observed = torch.zeros(4, 5, dtype=torch.bool)
    observed[:, o] = True
    rows, fill = IncompleteRows(x, observed, ~observed), BIAS
    if method == "miwae":
        with torch.no_grad():  # as wide as the prior: weights of a narrower one would have no variance
            linear.latents.levels[0].posterior.head.bias[2:] = 0
        found = importance_weighted(linear, rows, fill, num_samples=120_000, draws=1000)
    else:
        found = gibbs(linear, linear, rows, fill, steps=60, draws=3000)
    z, covariance = conditional(x, o)
    mean, covariance = z @ W[m].T + BIAS[m], W[m] @ covariance @ W[m].T + SIGMA**2 * torch.eye(3)
    assert torch.allclose(found.mean[:, m], mean, atol=0.05)
    assert torch.allclose(found.mean[:, o], x[:, o])
    assert (found.draws[..., o] == x[:, o]).all()
    drawn = found.draws[..., m]
    assert torch.allclose(drawn.mean(0), mean, atol=0.12)
    assert torch.allclose(drawn[:, 0].T.cov(), covariance, atol=0.2)
    nll = -torch.distributions.MultivariateNormal(mean, covariance).log_prob(x[:, m])
    assert torch.allclose(found.nll, nll, atol=0.1)


@pytest.mark.long
def test_chunks_of_samples_change_nothing(linear, monkeypatch):
    x = rows_of(linear, 3)
    observed = torch.tensor([True, False, True, False, False]).expand(3, 5)
    with torch.no_grad():
        linear.latents.levels[0].posterior.head.bias[2:] = 0
    found = []
    for values in (2**19, 15 * 7):  # at once, and in chunks of 7
        monkeypatch.setattr("vaekit.tasks.shared.imputation.CHUNK_VALUES", values)
        torch.manual_seed(0)
        found.append(importance_weighted(linear, IncompleteRows(x, observed, ~observed), BIAS, 20_000, 1000))
    assert torch.allclose(found[0].mean, found[1].mean, atol=0.05)
    assert torch.allclose(found[0].nll, found[1].nll, atol=0.05)
    assert torch.allclose(found[0].draws.mean(0), found[1].draws.mean(0), atol=0.15)


def test_imputations_use_different_z_even_with_one_dominant_weight(linear):
    with torch.no_grad():
        linear.likelihood.network.body[1].weight.mul_(100)
    x, observed = rows_of(linear, 3), torch.tensor([True, False, True, False, False]).expand(3, 5)
    found = importance_weighted(linear, IncompleteRows(x, observed, ~observed), BIAS, 200, 5)
    apart = (found.draws[:, None] - found.draws).norm(dim=-1) + 1e3 * torch.eye(5)[..., None]
    assert apart.min() > 10 * SIGMA


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        ("likelihood=pixel_autoregressive", "likelihood.width=4", "likelihood.layers=1"),
        ("likelihood=bernoulli_autoregressive",),
    ],
    ids=str,
)
def test_values_drawn_one_by_one_are_imputed_from_their_conditional_distribution(words):
    vae, _ = build(Image((1, 2, 2), bins=2), "model=mlp_vae", "network.hidden=[8]", "latents.dim=2", *words)
    with torch.no_grad():
        for p in vae.parameters():
            p.add_(0.4 * torch.randn_like(p))
        for p in vae.latents.levels[0].posterior.head.parameters():
            p.zero_()  # q is the prior: weights of a narrower one would have no variance
    images = torch.tensor([*itertools.product((0.0, 1.0), repeat=4)]).reshape(-1, 1, 2, 2)
    x, observed = images[5:6], torch.tensor([[False, True], [False, True]]).expand(1, 1, 2, 2)
    p = vae.log_likelihood(images, 4000).exp() * ((images - x) * observed == 0).all((1, 2, 3))
    p = p / p.sum()
    found = importance_weighted(vae, IncompleteRows(x, observed, ~observed), torch.full((1, 2, 2), 0.5), 6000, 300)
    mean = torch.einsum("i,ichw->chw", p, images)
    assert torch.allclose(found.mean[0], mean, atol=0.05)
    assert torch.allclose(found.draws[:, 0].mean(0), mean, atol=0.12)
    assert torch.allclose(found.nll, -p[5].log(), atol=0.1)


def test_cells_of_tables_drawn_one_by_one_are_filled_and_scored():
    """Cells that are hidden, and cells that are missing: both get a value."""
    columns = [
        Column("town", "categorical", ["Ulm", "Bonn", "Kiel"], nullable=True),
        Column("height", "real", quantiles=[0.0, 1.0, 2.0], normals=[-3.0, 0.0, 3.0], nullable=True),
        Column("smokes", "binary", ["no", "yes"]),
    ]
    space = Table.of(columns)
    vae, _ = build(space, "model=table_autoregressive", "network.hidden=[8]", "latents.dim=2", "likelihood.width=8")
    cells = [["Ulm", "Bonn", None, None], ["1.5", "0.5", "1.0", None], ["yes", "no", "yes", "no"]]
    x, known = map(torch.from_numpy, space.encode(cells))
    of = {c.name: space.per_value(torch.tensor([c is each for each in space.ordered])) for c in columns}
    observed = known & ~(of["height"] & (torch.arange(4) == 1).unsqueeze(1))
    rows = IncompleteRows(x * observed, observed, known & ~observed & ~space.indicators)
    rows = replace(rows, x=torch.where(rows.hidden, x, rows.x))
    found = importance_weighted(vae.eval(), rows, torch.where(space.indicators, 1.0, torch.zeros(space.size)), 40, 3)
    for drawn in found.draws:
        assert torch.equal(drawn[observed], x[observed])
        town = drawn[:, of["town"] & ~space.indicators]
        assert (town.sum(1) == 1).all() and ((town == 0) | (town == 1)).all()
        assert (drawn[[1, 3]][:, of["height"] & ~space.indicators] != 0).all()
    assert found.nll[1] > 0.5 and found.nll[[0, 2, 3]].abs().max() < 1e-4


@pytest.mark.long
def test_the_encoder_learns_the_posterior_of_rows_with_holes(linear, tmp_path):
    np.save(tmp_path / "rows.npy", rows_of(linear, 4000).numpy())
    data = DataModule(Arrays(tmp_path / "rows.npy", cache=tmp_path / "cache"), batch_size=256)
    observed = torch.tensor([True, False, True, False, False])
    before = {name: weight.clone() for name, weight in linear.state_dict().items()}
    reader = train_on_missing(linear, data, lambda n: observed.expand(n, 5), BIAS, updates=4000)
    x = rows_of(linear, 50, seed=1)
    mean, covariance = conditional(x, [0, 2])
    filled = torch.where(observed, x, BIAS)
    q = reader.latents.levels[0].infer(reader.encoder(filled), None)
    assert (q.mean - mean).abs().max() < 0.1
    assert torch.allclose(q.variance.mean(0), covariance.diagonal(), atol=0.08)
    naive = linear.latents.levels[0].infer(linear.encoder(filled), None)
    assert (naive.mean - mean).abs().max() > 0.3
    assert all(torch.equal(before[name], weight) for name, weight in linear.state_dict().items())
    changed = {name for name, weight in reader.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {"latents.levels.0.posterior.head.weight", "latents.levels.0.posterior.head.bias"}


@pytest.mark.parametrize("space", [Image((3, 8, 6)), Real((8,))])
def test_values_are_hidden_where_requested(space):
    torch.manual_seed(0)
    half = draw_observed("half", 0.5, space, 3)
    assert half.shape == (3, *space.shape)
    assert half.float().mean() == 0.5
    if isinstance(space, Image):
        assert half[:, :, :4].all() and not half[:, :, 4:].any()
        boxes = draw_observed("box", 0.25, space, 400)
        assert ((~boxes).flatten(1).sum(1) == 3 * 4 * 3).all()
        assert (~boxes).any(0).all()
    random = draw_observed("random", 0.3, space, 4000)
    assert random.float().mean() == pytest.approx(0.7, abs=0.02)
    if isinstance(space, Image):
        assert (random == random[:, :1]).all()


def test_the_classical_imputers_are_scored_on_what_they_did_not_see():
    torch.manual_seed(0)
    z = torch.randn(900, 1)
    x = z + 0.3 * torch.randn(900, 4)
    observed = torch.ones(900, 4, dtype=torch.bool)
    observed[:, 3] = False
    train = IncompleteRows.fully_observed(x[:500], torch.ones(500, 4, dtype=torch.bool))
    hidden = IncompleteRows(x, observed, ~observed)
    figures = classical(train, hidden[500:700], hidden[700:], Real((4,)))
    best = math.sqrt(0.09 + 0.09 / (3 + 0.09))  # of the linear regression on the other three columns
    assert figures["mean"][0] == pytest.approx(math.sqrt(1.09), rel=0.15)
    assert figures["iterative"][0] == pytest.approx(best, rel=0.15)
    assert best < figures["neighbours"][0] < 0.5
    assert figures["iterative"][1] == pytest.approx(math.log(best) + 0.5 * math.log(2 * math.pi) + 0.5, abs=0.15)


def test_validation_rows_that_hide_nothing_or_are_filled_exactly_leave_a_scale():
    x, known = torch.arange(20.0).reshape(10, 2), torch.ones(10, 2, dtype=torch.bool)
    hidden = IncompleteRows(
        x, known.index_fill(1, torch.tensor([1]), False), known.index_fill(1, torch.tensor([0]), False)
    )
    whole, constant = IncompleteRows.fully_observed(x, known), IncompleteRows(0 * x, hidden.observed, hidden.hidden)
    for train, validation in (whole, whole), (IncompleteRows.fully_observed(0 * x, known), constant):
        for error, nll in classical(train, validation, hidden, Real((2,))).values():
            assert math.isfinite(error) and math.isfinite(nll)


@pytest.mark.parametrize("values", ["binary", "discrete"])
def test_the_classical_imputers_are_scored_by_probabilities_where_values_are_discrete(values):
    space = Image((1, 2, 2), bins=2 if values == "binary" else 5)
    torch.manual_seed(0)
    x = torch.randint(space.bins, (300, 1, 2, 2)).float() / (space.bins - 1)
    observed = torch.ones_like(x, dtype=torch.bool)
    observed[:, :, 1] = False
    train = IncompleteRows.fully_observed(x, torch.ones_like(observed))
    rows = IncompleteRows(x, observed, ~observed)
    nll = classical(train, rows, rows, space)["mean"][1]
    assert nll == pytest.approx(math.log(space.bins), abs=0.1)  # they are uniform


def test_cells_of_tables_are_scored_by_the_mass_of_their_kind_and_count_once():
    columns = [
        Column("town", "categorical", [f"town {i}" for i in range(50)]),
        Column("smokes", "binary", ["no", "yes"]),
        Column("children", "count", largest=1),
    ]
    cells = [[each.categories[i % 50] for i in range(1000)] for each in columns[:1]]
    cells += [["no", "yes"] * 500, ["0", "0", "1", "1"] * 250]
    for column, each, best in zip(columns, cells, (50, 2, 2), strict=True):
        space = Table.of([column])
        x = torch.from_numpy(space.encode([each])[0])
        rows = IncompleteRows(x[:500], torch.zeros_like(x[:500]).bool(), torch.ones_like(x[:500]).bool())
        train = IncompleteRows.fully_observed(x, torch.ones_like(x).bool())
        error, nll = classical(train, rows, rows, space)["mean"]
        assert nll == pytest.approx(math.log(best), abs=0.02 if column.kind == "count" else 1e-3)
        if column.kind == "categorical":
            assert error == pytest.approx(math.sqrt(0.98), abs=1e-3)  # (1 - 1/50)^2 + 49/50^2


@pytest.mark.parametrize("method", ["miwae", "gibbs"])
def test_the_mean_of_a_cell_is_that_of_values_not_of_normal_numbers(method):
    values = np.exp(np.random.default_rng(0).normal(3, 1, 5000))
    space = Table.of(
        [Column.from_values("pay", "real", values, Number(places=2)), Column("town", "categorical", ["a"])]
    )
    vae, _ = build(space, "model=table_vae", "likelihood=table", "network.hidden=[8]", "latents.dim=2")
    with torch.no_grad():
        for weight in vae.likelihood.network.parameters():
            weight.zero_()
        vae.likelihood.log_scale.fill_(math.log(1 - 0.02))  # p(x | z) is the standard normal for every z
    observed = torch.tensor([[False, True]]).expand(20, -1)
    rows = IncompleteRows(torch.tensor([[0.0, 1.0]]).expand(20, -1), observed, torch.zeros_like(observed))
    torch.manual_seed(0)
    if method == "miwae":
        found = importance_weighted(vae, rows, torch.zeros(2), num_samples=2000, draws=2)
    else:
        found = gibbs(vae, vae, rows, torch.zeros(2), steps=400, draws=5)
    written = np.array(space.write(found.plain)[0], dtype=float)
    assert written.mean() == pytest.approx(values.mean(), rel=0.05) and values.mean() > 1.5 * np.median(values)
    assert found.mean[:, 0].abs().max() < 0.15 and (found.plain[:, 1] == 1).all()


@pytest.mark.long
def test_digits_are_filled_and_scored(digits):
    torch.manual_seed(0)
    imputed = impute(digits, hole="half", n=100, num_samples=50, draws=3, updates=150)
    x = digits.data.sample("test", 100).x
    assert imputed.mean.shape == x.shape
    assert imputed.draws.shape == (3, *x.shape)
    assert torch.equal(imputed.mean[:, :, :4], x[:, :, :4])
    for drawn in imputed.draws:
        digits.vae.space.check(drawn)
    metrics = json.loads((digits.out / "metrics.json").read_text())
    error = (imputed.mean - x)[:, :, 4:].square().mean().sqrt()
    assert metrics["rmse/miwae"] == pytest.approx(float(error), rel=1e-4)
    assert metrics["nll/miwae"] < metrics["nll/mean"]
    assert {name.split("/")[1] for name in metrics} == {"mean", "neighbours", "iterative", "miwae"}
    saved = np.load(digits.out / "imputed.npz")
    assert np.array_equal(saved["mean"], np.load(digits.out / "imputed.npy"))
    assert saved["draws"].shape == (3, 100, 1, 8, 8)
    assert not saved["observed"][:, :, 4:].any()
    with PIL.Image.open(digits.out / "imputed.png") as grid:
        assert grid.width > 6 * 58 + 2 and 16 * 58 + 2 < grid.height < 17 * 58 + 100  # with 3 draws


def test_an_image_with_a_mask(digits, tmp_path):
    gray = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    PIL.Image.fromarray(gray).save(tmp_path / "picture.png")
    mask = np.full((8, 8), 255, np.uint8)
    mask[2:5, 3:] = 0
    PIL.Image.fromarray(mask).save(tmp_path / "mask.png")
    imputed = impute(
        digits, input=tmp_path / "picture.png", mask=tmp_path / "mask.png", num_samples=5, draws=2, updates=2
    )
    assert np.array_equal(np.load(digits.out / "imputed.npz")["observed"][0, 0], mask > 0)
    known = torch.from_numpy(mask > 0)
    assert torch.allclose(imputed.mean[0, 0][known] * 255, torch.from_numpy(gray)[known].float(), atol=8)
    assert not (digits.out / "metrics.json").exists()


@pytest.mark.long
@pytest.mark.parametrize("method", ["miwae", "gibbs"])
def test_a_table_with_nan(vectors, tmp_path, method):
    x = np.random.default_rng(0).normal(size=(30, 5)).astype("float32")
    x[::2, 3] = np.nan
    x[7] = np.nan
    np.save(tmp_path / "table.npy", x)
    imputed = impute(vectors, method, input=tmp_path / "table.npy", num_samples=20, draws=2, steps=4, updates=3)
    filled = np.load(vectors.out / "imputed.npy")
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert torch.isfinite(imputed.draws).all()
    np.save(tmp_path / "whole.npy", np.zeros((3, 5)))
    with pytest.raises(Refusal, match=r"No value is missing; hide some by task.hole=random"):
        impute(vectors, input=tmp_path / "whole.npy")


@pytest.mark.long
def test_missing_training_values_are_imputed(vectors_run, tmp_path, monkeypatch):
    x = np.random.default_rng(1).normal(loc=3.0, size=(60, 5)).astype("float32")
    missing = x.copy()
    missing[:, 4] = np.nan
    np.savez(tmp_path / "missing.npz", x_train=missing, x_test=missing)
    context = open_run(vectors_run, tmp_path, device="cpu", data={"path": str(tmp_path / "missing.npz")})
    read = []
    context.vae.encoder.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    impute(context, hole="none", n=10, num_samples=5, updates=0)
    assert all((x[:, 4] == 0).all() for x in read)  # as in training
    assert not (context.out / "metrics.json").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(method="em"), "use task.method=miwae"),
        (dict(hole="round"), "use task.hole=random"),
        (dict(hole="box"), "vectors; use task.hole=random"),
        (dict(fraction=1.0), "use task.fraction=0.5"),
        (dict(num_samples=0), "use task.num_samples=1"),
        (dict(draws=0), "use task.draws=1"),
        (dict(steps=1), "use task.steps=2"),
        (dict(updates=-1), "use task.updates=0"),
        (dict(n=41), "use task.n=40"),
        (dict(mask="mask.npy"), "task.input=FILE"),
        (dict(input="nowhere.npy"), "no file"),
        (dict(hole="none"), "No value is missing"),
    ],
)
def test_refusals_say_what_to_type(vectors, settings, says):
    with pytest.raises(Refusal, match=says):
        impute(vectors, **settings)


@pytest.mark.long
def test_unsupported_likelihoods_and_posteriors_are_refused(untrained, tmp_path):
    together = open_run(untrained("likelihood=logistic_mixture"), tmp_path, device="cpu")
    with pytest.raises(Refusal, match=r"Train with .*likelihood=discretized_logistic"):
        impute(together)
    point = open_run(untrained("model=ae"), tmp_path, device="cpu")
    with pytest.raises(Refusal, match=r"task.method=gibbs task.updates=0"):
        impute(point)
    with pytest.raises(Refusal, match=r"Use task.updates=0"):
        impute(point, "gibbs")
    imputed = impute(point, "gibbs", n=4, steps=3, draws=2, updates=0)
    assert torch.isfinite(imputed.mean).all()


@pytest.mark.long
def test_halves_of_images_that_are_drawn_value_by_value(untrained, tmp_path):
    words = ("likelihood=pixel_autoregressive", "likelihood.width=4", "likelihood.layers=1")
    context = open_run(untrained(*words), tmp_path, device="cpu")
    with pytest.raises(Refusal, match=r"use task.method=miwae"):
        impute(context, "gibbs")
    found = impute(context, hole="half", n=2, num_samples=4, draws=2, updates=2)
    assert torch.isfinite(found.nll).all() and (tmp_path / "imputed.png").is_file()
    assert torch.equal(found.draws[0, :, :, :4], context.data.sample("test", 2).x[:, :, :4])


@pytest.mark.long
def test_a_tower_of_levels_is_read_from_the_top(untrained, tmp_path):
    context = open_run(untrained("latents=ladder", "latents.levels=2"), tmp_path, device="cpu")
    imputed = impute(context, n=6, num_samples=5, draws=2, updates=2)
    assert torch.isfinite(imputed.nll).all()


@pytest.mark.long
def test_from_the_command_line(apply, digits_run):
    words = ("task.n=4", "task.num_samples=5", "task.updates=1", "task.hole=box")
    code, printed = apply(f"run={digits_run}", "task=impute", "device=cpu", *words)
    assert code == 0, printed
    assert "imputed.png" in printed
    assert "iterative" in printed
