"""The detailed test metrics."""

import json

import numpy as np
import PIL.Image
import pytest
import torch

from vaekit.batch import Batch
from vaekit.spaces import Image
from vaekit.tasks.evaluate import calibration, detailed, evaluate, fidelity
from vaekit.tasks.shared.context import open_run

ALL = {"nll_of_class", "rate_distortion", "mutual_information", "calibration", "calibration_error"}


def silence(vae):
    """Let p(x | z) be what the likelihood's bias says."""
    for weights in vae.likelihood.network.parameters():
        weights.zero_()


def read(context):
    return json.loads((context.out / "evaluation.json").read_text())


def test_the_file_holds_the_metrics_and_what_lies_behind_them(digits):
    metrics = evaluate(digits, num_samples=3, rows=200)
    found = read(digits)
    assert {name: found[name] for name in metrics} == metrics
    assert found.keys() - metrics.keys() == ALL
    assert all(np.isfinite(found[name]) for name in ("mutual_information", "calibration_error"))
    with PIL.Image.open(digits.out / "evaluation.png") as picture:
        assert picture.width > 1200 and np.asarray(picture).std() > 0


def test_the_nll_of_classes_adds_up_to_the_whole(digits):
    metrics = evaluate(digits, num_samples=20, rows=359)
    label = digits.test.label[digits.test.indices]
    found = read(digits)["nll_of_class"]
    assert list(found) == [str(value) for value in range(10)]
    whole = sum(nll * (label == int(value)).sum().item() for value, nll in found.items()) / len(label)
    assert whole == pytest.approx(metrics["test/nll"], rel=0.01)
    assert max(found.values()) > 1.1 * min(found.values())


def test_the_curve_passes_through_the_model_and_pays_rate_for_distortion(digits):
    metrics = evaluate(digits, num_samples=1, rows=359)
    points = {point["temperature"]: point for point in read(digits)["rate_distortion"]}
    assert points[1.0]["rate"] == pytest.approx(metrics["test/rate"], rel=1e-3)
    assert points[1.0]["distortion"] == pytest.approx(metrics["test/distortion"], rel=0.02)
    assert points[0.25]["rate"] > points[0.5]["rate"] > points[1.0]["rate"]
    assert points[0.25]["distortion"] < points[1.0]["distortion"] < points[2.0]["distortion"]


def test_a_posterior_that_ignores_x_has_no_mutual_information(digits):
    before = detailed(digits, 1, 300)["mutual_information"]
    with torch.no_grad():
        digits.vae.latents.levels[0].posterior.head.weight.zero_()
    assert before > 0.1
    assert detailed(digits, 1, 300)["mutual_information"] == pytest.approx(0, abs=1e-4)


@pytest.mark.long
def test_a_decoder_of_the_right_probabilities_is_calibrated(untrained, tmp_path):
    context = open_run(
        untrained("likelihood=bernoulli", "data.binarize=dynamic", space=Image((1, 8, 8), 2)), tmp_path, device="cpu"
    )
    vae = context.vae
    with torch.no_grad():
        silence(vae)
        vae.likelihood.bias.copy_(torch.linspace(-3, 3, 64).reshape(1, 1, 8, 8))
    x = torch.rand(5000, 1, 8, 8) < vae.likelihood.bias[0].sigmoid()

    def error(x):
        batch = context.data.transform(context.test.gather(torch.arange(2)), training=False)
        batch.x, batch.label = x.float(), None
        return calibration(vae, [batch], [vae.encoder(batch.x)])["calibration_error"]

    assert error(x) < 0.01
    assert error(~x) > 0.3


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("posterior=dirac", "objective=reconstruction"), {"calibration", "calibration_error"}),
        (("posterior=von_mises_fisher", "prior=sphere_uniform"), ALL),
        (("posterior=flow",), ALL - {"mutual_information"}),
        (("latents=ladder", "latents.levels=2", "latents.width=8"), ALL - {"mutual_information"}),
        (("likelihood=logistic_mixture",), ALL - {"calibration", "calibration_error"}),
    ],
)
def test_each_metric_is_computed_if_the_model_allows_it(untrained, tmp_path, overrides, expected):
    context = open_run(untrained(*overrides), tmp_path, device="cpu")
    metrics = evaluate(context, rows=20)
    assert read(context).keys() - metrics.keys() == expected


def test_vectors_without_labels(vectors):
    metrics = evaluate(vectors, num_samples=2)
    assert read(vectors).keys() - metrics.keys() == {"rate_distortion", "mutual_information"}


def test_calibration_of_gray_values_sums_the_mass_above_one_half(untrained, tmp_path):
    """The probability of x > 1/2 of a discrete pixel is the sum over its brighter levels."""
    context = open_run(untrained("likelihood=categorical"), tmp_path, device="cpu")
    vae = context.vae
    with torch.no_grad():
        silence(vae)
        vae.likelihood.bias.zero_()  # each of 17 levels alike, 8 of which are brighter
    batch = context.data.sample("test", 10)
    found = calibration(vae, [batch], [vae.encoder(batch.x)])["calibration"]
    assert found["predicted"] == pytest.approx([8 / 17])
    assert found["happened"] == pytest.approx([(batch.x > 0.5).float().mean().item()])


def test_fidelity_of_images_is_that_of_each_image(untrained, tmp_path):
    context = open_run(untrained("likelihood=discretized_logistic", space=Image((3, 12, 14))), tmp_path, device="cpu")
    vae = context.vae
    with torch.no_grad():
        silence(vae)
    x = torch.rand(5, 3, 12, 14).mul(255).round() / 255
    mean = vae.likelihood(torch.zeros(1, 3)).mean[0].detach()
    batches = [Batch(x[:3]), Batch(x[3:])]
    found = fidelity(vae, batches, [vae.encoder(batch.x) for batch in batches])
    expected = -10 * (x - mean).square().mean((1, 2, 3)).log10()
    assert found["psnr"] == pytest.approx(float(expected.mean()), rel=1e-4)
    assert 0 < found["ssim"] < 0.5
