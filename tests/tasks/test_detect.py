"""Anomalies: what each score is, what its p-value promises, and the task."""

import csv
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from sklearn.metrics import roc_auc_score

from helpers import build, drawn, texts
from vaekit.batch import Batch
from vaekit.media.figures import pyplot
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real
from vaekit.tasks.detect import _decimals, _panels, detect, other_data
from vaekit.tasks.shared.anomaly import Detector, Measured, baselines, measure, p_values, regret
from vaekit.tasks.shared.context import open_run


def measured(n, seed, shift=0.0):
    """n rows whose statistics and codes are standard normal, moved by `shift`."""
    rng = np.random.default_rng(seed)
    names = ("distortion", "rate", "reconstruction", "nll", "elbo")
    return Measured(
        np.zeros((n, 1)),
        np.zeros((n, 1)),
        rng.normal(shift, 1, (n, 2)),
        {name: rng.normal(shift, 1, n) for name in names},
    )


NAMES = ("path_statistics", "nll", "rate", "latent", "typicality")


@pytest.fixture(scope="module")
def detector():
    return Detector(measured(5000, 0), measured(2000, 1), NAMES)


@pytest.fixture(scope="module")
def p_of(detector):
    """The p-values of rows, by 2000 others."""
    calibration = detector.scores(measured(2000, 5))
    return lambda rows: p_values(detector.scores(rows), calibration, np.zeros(len(rows), dtype=bool))


def test_p_values_of_normal_rows_are_uniform(p_of):
    for name, each in p_of(measured(4000, 2)).items():
        assert each.min() > 0 and each.max() <= 1
        for alpha in (0.01, 0.05, 0.2, 0.5):
            assert (each <= alpha).mean() == pytest.approx(alpha, abs=0.015 + 0.05 * alpha), name


@pytest.mark.parametrize("n", [19, 30, 120])
def test_few_rows_cover_normal_rows_over_random_splits(n):
    """Coverage over 200 splits, with separate calibration rows, and with each row compared with the others."""
    found = {"own": [], "among": []}
    for seed in range(200):
        rows = measured(300 + n, seed)
        order = np.random.default_rng(seed).permutation(len(rows))
        train, held_out, calibration, test = (take(rows, part) for part in np.split(order, [100, 140, 140 + n]))
        detector = Detector(train, held_out, NAMES)
        known, new = detector.scores(calibration), detector.scores(test)
        found["own"].append(p_values(new, known, np.zeros(len(test), dtype=bool)))
        found["among"].append(p_values(known, known, np.ones(n, dtype=bool)))
    for kind, splits in found.items():
        for name in NAMES:
            for alpha in (0.05, 0.2):
                alarms = [(split[name] <= alpha).mean() for split in splits]
                error = np.std(alarms) / len(alarms) ** 0.5
                most = alpha + 4 * error
                least = alpha - 2 / (n + 1) - 4 * error  # p-values are multiples of 1 / (n + 1), of 2 for the rate
                assert least <= np.mean(alarms) <= most, (kind, name, alpha)


def take(rows, numbers):
    statistics = {name: each[numbers] for name, each in rows.statistics.items()}
    return Measured(rows.x[numbers], rows.mean[numbers], rows.latents[numbers], statistics)


def test_p_values_count_as_many_rows_as_there_are():
    calibration, scores = {"nll": np.arange(1.0, 11.0)}, {"nll": np.array([10.0, 10.5, 1.0, 8.0])}
    new = p_values(scores, calibration, np.zeros(4, dtype=bool))["nll"]
    assert (new * 11).round(6).tolist() == [2, 1, 11, 4]
    within = p_values(scores, calibration, np.array([True, False, True, True]))["nll"]
    assert (within * [10, 11, 10, 10]).round(6).tolist() == [1, 1, 10, 3]
    two_sided = p_values({"rate": np.array([0.0, 5.0])}, {"rate": np.arange(1.0, 11.0)}, np.zeros(2, dtype=bool))
    assert two_sided["rate"].tolist() == pytest.approx([2 / 11, 1])


def test_each_score_detects_its_kind_of_anomaly(detector, p_of):
    low, high, far = (measured(200, 3, shift) for shift in (-4.0, 4.0, 8.0))
    found = {"low": p_of(low), "high": p_of(high)}
    for name in ("path_statistics", "rate", "latent", "typicality"):
        assert np.median(found["low"][name]) < 0.01 and np.median(found["high"][name]) < 0.01, name
    assert np.median(found["high"]["nll"]) < 0.01 < 0.9 < np.median(found["low"]["nll"])
    path = [detector.scores(rows)["path_statistics"] for rows in (high, far)]
    assert np.isfinite(path[1]).all() and path[0].max() < path[1].min()


def test_latent_is_the_mahalanobis_distance(detector):
    rows = measured(50, 4)
    exact = np.linalg.norm(rows.latents, axis=1)  # the latents are N(0, I)
    assert np.allclose(detector.scores(rows)["latent"], exact, rtol=0.1, atol=0.05)


@pytest.fixture
def gaussian():
    """x = W z + e with orthogonal columns of W, and an encoder that is right but for its scale and a shift of 1."""
    settings = ("network.hidden=[]", "latents.dim=2", "likelihood=gaussian", "likelihood.scale=fixed")
    vae, _ = build(Real((3,)), "model=mlp_vae", *settings, "likelihood.value=1.0")
    weight = torch.tensor([[1.0, 1.0], [1.0, -1.0], [0.5, 0.0]])
    variance = 1 / (1 + weight.square().sum(0))
    head = vae.latents.levels[0].posterior.head
    with torch.no_grad():
        vae.likelihood.network.body[1].weight.copy_(weight)
        head.weight.copy_(torch.cat([variance[:, None] * weight.T, torch.zeros(2, 3)]))
        head.bias.copy_(torch.cat([torch.ones(2), variance.sqrt().log() - 0.5]))
    return vae.eval(), variance


@pytest.mark.long
def test_regret_is_the_divergence_of_the_encoder_from_the_posterior(gaussian):
    vae, variance = gaussian
    torch.manual_seed(0)
    batch = Batch(vae.sample(5, draw=True))
    found = regret(vae, batch, vae.encoder(batch.x), steps=600, draws=4000)
    # KL(q || p(z | x)), where q has the posterior's mean + 1, and exp(-1/2) of its standard deviation
    exact = 0.5 * (torch.exp(torch.tensor(-1.0)) + 1 / variance - 1 + 1).sum()
    assert torch.allclose(found, exact, rtol=0.1)
    assert all(weight.grad is None for weight in vae.parameters())


def test_measured_statistics_are_the_model_s_own(gaussian):
    vae, _ = gaussian
    with torch.no_grad():
        vae.latents.levels[0].posterior.head.bias[2:] = 0  # wide enough for weights of little variance
    torch.manual_seed(0)
    x = vae.sample(300, draw=True)
    found = measure(vae, Batch(x).split(70), num_samples=2000)
    exact = torch.distributions.MultivariateNormal(torch.zeros(3), vae_covariance(vae)).log_prob(x)
    assert abs(found.statistics["nll"] + exact.numpy()).mean() < 0.05
    assert np.allclose(found.statistics["elbo"], found.statistics["distortion"] + found.statistics["rate"], atol=1e-4)
    assert np.allclose(found.latents, vae.encode(x)[0].detach().numpy(), atol=1e-6)
    errors = (vae.reconstruct(x) - x).square().sum(1)
    assert np.allclose(found.statistics["reconstruction"], errors.numpy(), rtol=1e-4)


def vae_covariance(vae):
    weight = vae.likelihood.network.body[1].weight.detach()
    return weight @ weight.T + torch.eye(3)


def test_missing_values_count_for_nothing(gaussian):
    vae, _ = gaussian
    x, mask = torch.randn(4, 3), torch.tensor([1.0, 1.0, 0.0]).expand(4, 3)
    found = measure(vae, [Batch(x, mask=mask)], num_samples=1).statistics["reconstruction"]
    assert np.allclose(found, ((vae.reconstruct(x) - x).square() * mask).sum(1).numpy(), rtol=1e-4)
    with pytest.raises(Refusal, match=r"leave it out of task.scores"):
        measure(vae, [Batch(x, mask=mask)], num_samples=1, regret_steps=2)


def test_baselines_rank_far_rows_first():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(500, 4)).astype("float32")
    train[:, 3] = train[:, 0]
    odd = np.array([[3.0, 0.0, 0.0, -3.0]], dtype="float32")
    found = baselines(train, np.concatenate([train, odd]), components=3, seed=0)
    assert {"isolation forest", "PCA", "Mahalanobis"} <= set(found)
    assert found["PCA"].argmax() == 500 and found["Mahalanobis"].argmax() == 500
    assert (found["isolation forest"] < found["isolation forest"][-1]).mean() > 0.9
    assert baselines(train[:3], train, components=10, seed=0)["PCA"].shape == (500,)  # more components than there are


def test_principal_components_of_a_narrow_table_leave_some_out():
    """Two columns carry the variance; an anomaly breaks how the others follow them."""
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(600, 2)), 0.1 * rng.normal(size=(600, 6))
    train = (z @ rng.normal(size=(2, 6)) + noise).astype("float32")
    odd = train[500:] + 0.5 * rng.normal(size=(100, 6)).astype("float32")
    found = baselines(train[:500], np.concatenate([train[500:], odd]), components=32, seed=0)
    truth = np.repeat([0, 1], 100)
    assert roc_auc_score(truth, found["PCA"]) > 0.97 and roc_auc_score(truth, found["Mahalanobis"]) > 0.97


# The task ------------------------------------------------------------------------------------------------------------


def table(context):
    with (context.out / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def noise(tmp_path):
    x = np.random.default_rng(0).integers(0, 17, (50, 1, 8, 8)) / 16
    np.save(tmp_path / "noise.npy", x.astype("float32"))
    return tmp_path / "noise.npy"


def test_noise_is_anomalous_for_digits(digits, noise, monkeypatch):
    figures = drawn(monkeypatch)
    torch.manual_seed(0)
    found = detect(digits, anomalies=noise, num_samples=3, n=8)
    metrics = json.loads((digits.out / "metrics.json").read_text())
    assert metrics["auroc/path_statistics"] > 0.95 and metrics["auroc/nll"] > 0.95 and metrics["aupr/nll"] > 0.8
    assert {"auroc/isolation forest", "auroc/PCA"} <= set(metrics)
    assert all(len(each) == 359 + 50 for each in found.values())
    assert np.median(found["p/path_statistics"][359:]) < 0.02
    rows = table(digits)
    assert [row["set"] for row in rows].count("anomalies") == 50
    assert [int(row["example"]) for row in rows[:359]] == digits.test.indices.tolist()
    assert [int(row["anomaly"]) for row in rows] == [0] * 359 + [1] * 50
    assert [float(row["p_path_statistics"]) for row in rows] == pytest.approx(
        found["p/path_statistics"].tolist(), rel=1e-4
    )
    maps = np.load(digits.out / "maps.npz")
    assert np.allclose(maps["map"], abs(maps["x"] - maps["mean"]))
    assert maps["x"].shape == (8, 1, 8, 8)
    anomalous = np.load(noise)
    assert any(np.allclose(maps["x"][0], each, atol=1e-3) for each in anomalous)
    assert (
        maps["score"] == pytest.approx(np.sort(found["path_statistics"])[::-1][:8]) and (np.diff(maps["p"]) >= 0).all()
    )
    assert [float(rows[row]["path_statistics"]) for row in maps["row"]] == pytest.approx(
        maps["score"].tolist(), rel=1e-4
    )
    curves, grid = figures
    row, score, p = (maps[name][0] for name in ("row", "score", "p"))
    assert f"{rows[row]['set']} {rows[row]['example']}: {score:.4g}, p {p:.3f}" in texts(grid)
    assert {"difference", "|x - E[x | z]|"} <= texts(grid)
    histogram, roc, precision = curves.axes
    assert {"normal rows (359)", "anomalies (50)", "score path_statistics"} <= texts(histogram)
    area = np.trapezoid(roc.lines[0].get_ydata(), roc.lines[0].get_xdata())
    assert area == pytest.approx(metrics["auroc/path_statistics"]) and f"path_statistics, area {area:.3f}" in texts(roc)
    assert f"nll, average {metrics['aupr/nll']:.3f}" in texts(precision)
    with PIL.Image.open(digits.out / "maps.png") as grid:
        assert grid.width > 12 * 58 and grid.height > 2 * 78


def test_labels_that_are_not_normal_are_anomalies(digits):
    found = detect(digits, normal=[0, 1, 2, 3, 4, 5, 6, 7, 8], scores=["nll"], num_samples=2)
    assert list(found) == ["nll", "p/nll"]
    rows = table(digits)
    labels = digits.test.label[digits.test.indices].numpy()
    assert [int(row["anomaly"]) for row in rows] == (labels == 9).astype(int).tolist()
    assert "auroc/nll" in json.loads((digits.out / "metrics.json").read_text())


@pytest.mark.long
def test_classes_that_were_left_out_of_training_are_anomalies(digits):
    detect(replace(digits, changes={"classes": [0, 1, 2]}), scores=["nll"], num_samples=2)
    labels = digits.test.label[digits.test.indices].numpy()
    assert [int(row["anomaly"]) for row in table(digits)] == (labels > 2).astype(int).tolist()


@pytest.mark.long
def test_p_values_rest_on_calibration_rows_or_else_on_test_rows(digits, noise, untrained, capsys):
    found = detect(digits, scores=["nll"], num_samples=2)
    assert "p-values are calibrated on 359 test rows, each on the others" in capsys.readouterr().out
    ordered = np.sort(found["nll"])
    assert found["p/nll"] == pytest.approx((359 - np.searchsorted(ordered, found["nll"])) / 359)
    detect(digits, input=noise, scores=["nll"], num_samples=2)
    assert "p-values are calibrated on 359 test rows\n" in capsys.readouterr().out
    own = open_run(untrained("data.calibration=18"), digits.out, device="cpu")
    p = detect(own, scores=["nll"], num_samples=2)["p/nll"]
    assert p.min() >= 1 / 19 and np.allclose((p * 19).round(), p * 19)
    says = "The smallest p-value of 18 rows is 0.053, so that no row can reach 0.05. Train with data.calibration=19"
    assert says in capsys.readouterr().out


def test_few_rows_are_told_all_that_they_lack_at_once(untrained, tmp_path, capsys):
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    words = ["data=arrays_uint8", f"data.path={tmp_path}/x.npy", f"data.cache={tmp_path}/cache"]
    few = open_run(untrained(*words, space=Image((1, 8, 8))), tmp_path, device="cpu")
    with pytest.raises(Refusal, match="There are 5 normal val rows, expected at least 10") as refused:
        detect(few, scores=["nll"], num_samples=2)
    advice = re.search(r"Train with (.*) or more", str(refused.value))[1].split()
    assert advice == ["data.validation=10", "data.calibration=19"]
    enough = open_run(untrained(*words, *advice, space=Image((1, 8, 8))), tmp_path, device="cpu")
    detect(enough, scores=["nll"], num_samples=2)
    assert "no row can reach" not in capsys.readouterr().out


def test_a_folder_is_scored_without_known_anomalies(digits, tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("a", "b"):
        PIL.Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "pictures" / f"{name}.png")
    found = detect(digits, input=tmp_path / "pictures", scores="regret", steps=3, num_samples=2)
    assert [row["example"] for row in table(digits)] == ["a.png", "b.png"]
    assert table(digits)[0]["anomaly"] == ""
    assert len(found["regret"]) == 2
    assert not (digits.out / "metrics.json").exists()


def test_another_data_set_is_read_as_the_run_s_own(digits):
    other = other_data(digits, "digits")
    assert other.space == digits.vae.space
    assert torch.equal(other.sample("test", 5).x, digits.data.sample("test", 5).x)
    with pytest.raises(Refusal, match=r"task.other=mnist holds .*28x28.* use task.anomalies=rows.npy"):
        other_data(digits, "mnist")
    with pytest.raises(Refusal, match=r"Got task.other=nowhere, expected .*mnist"):
        other_data(digits, "nowhere")


def test_other_torchvision_sets_come_from_the_run_s_root(untrained, tmp_path):
    root = os.environ.get("VAEKIT_DATA")
    if root is None or not (Path(root) / "MNIST").is_dir():
        pytest.skip("VAEKIT_DATA names no folder with MNIST")
    space = Image((1, 28, 28), bins=2)
    changes = {"root": root, "cache": str(tmp_path / "cache")}
    context = open_run(untrained("data=fashion_mnist", space=space), tmp_path, device="cpu", data=changes)
    rows = other_data(context, "mnist").in_order("test")
    assert rows.label[:5].tolist() == [7, 2, 1, 0, 4]
    context.vae.space.check(other_data(context, "mnist").sample("test", 5).x)


@pytest.mark.long
def test_vectors_and_autoencoders(vectors, untrained, tmp_path):
    np.save(tmp_path / "far.npy", np.full((10, 5), 6.0, "float32"))
    detect(vectors, anomalies=tmp_path / "far.npy", num_samples=2)
    assert json.loads((vectors.out / "metrics.json").read_text())["auroc/path_statistics"] > 0.95
    assert not (vectors.out / "maps.png").exists()
    point = open_run(untrained("model=ae"), tmp_path, device="cpu")
    assert set(detect(point)) == {
        f"{p}{s}" for p in ("", "p/") for s in ("path_statistics", "distortion", "reconstruction", "latent")
    }
    with pytest.raises(Refusal, match=r"Got task.scores=nll, expected path_statistics, distortion"):
        detect(point, scores=["nll"])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(scores=["novelty"]), "use task.scores=path_statistics"),
        (dict(scores=[]), r"use task.scores=\[path_statistics\]"),
        (dict(num_samples=0), "use task.num_samples=1"),
        (dict(steps=0), "use task.steps=1"),
        (dict(n=0), "use task.n=1"),
        (dict(normal="zero"), "use task.normal=0"),
        (dict(normal=[]), "use task.normal=0"),
        (dict(normal=0), "leave out task.normal"),
        (dict(input="nowhere"), "no file or folder"),
        (dict(anomalies="nowhere"), "no file or folder"),
    ],
)
def test_refusals_say_what_to_type(vectors, settings, says):
    with pytest.raises(Refusal, match=says):
        detect(vectors, **settings)


def test_unknown_labels_are_refused(digits):
    with pytest.raises(Refusal, match=r"There are 0 normal train rows, .* task.normal"):
        detect(digits, normal=11)


@pytest.mark.parametrize(("part", "setting"), [("val", "validation=10"), ("calibration", "calibration=19")])
def test_too_few_rows_are_refused_with_how_many_to_hold_out(digits, untrained, part, setting):
    few = open_run(untrained(f"data.{setting.partition('=')[0]}=5"), digits.out, device="cpu")
    with pytest.raises(Refusal, match=rf"There are 5 normal {part} rows, .* with data\.{setting} or more\.$"):
        detect(few, scores="nll")


@pytest.mark.long
def test_from_the_command_line(apply, digits_run, noise):
    words = ("task.num_samples=2", f"task.anomalies={noise}", "task.scores=[path_statistics,rate]")
    code, printed = apply(f"run={digits_run}", "task=detect", "device=cpu", *words)
    assert code == 0, printed
    assert "scores.csv" in printed and "isolation forest" in printed
    assert "50 anomalies among 409 rows" in printed


def test_a_histogram_of_other_rows_also_shows_the_calibration_rows():
    figure, axis = pyplot().subplots()
    _panels(None, {"path_statistics": np.array([9.0])}, np.arange(4.0))["scores"](axis)
    assert {"calibration rows (4)", "rows (1)"} <= texts(figure)
    assert axis.get_xlim()[0] <= 0 and axis.get_xlim()[1] >= 9


def test_a_p_value_is_not_shown_as_0():
    assert [_decimals(p) for p in (0.25, 0.0028, 0.0001)] == ["0.250", "0.003", "0.0001"]
