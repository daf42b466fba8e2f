"""Recomputes the test metrics of a run, and analyzes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.image import PeakSignalNoiseRatio

from vaekit import run_files
from vaekit.batch import Batch
from vaekit.capabilities import Capability
from vaekit.media.plots import save_panels
from vaekit.metrics.calibration import Reliability
from vaekit.metrics.information import mutual_information
from vaekit.refusal import Refusal
from vaekit.similarity import WINDOW, ssim
from vaekit.spaces import Image
from vaekit.summary import results
from vaekit.tasks.shared.checks import within
from vaekit.tasks.shared.classifier import class_of
from vaekit.tasks.shared.context import Context
from vaekit.track import track
from vaekit.training.module import Training
from vaekit.vae import VAE

TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def evaluate(context: Context, num_samples: int | None = None, rows: int = 1000) -> dict[str, float]:
    """Write the test metrics of a run in nats per example: metrics.json, evaluation.json and evaluation.png.

    Penalties belong to the training rather than the model: test/loss is the objective alone. evaluation.json also has
    the results of `detailed` for some test examples, which evaluation.png draws.

    Args:
        context: The run.
        num_samples: Importance samples of test/nll; None for as many as after training, which gives the same numbers
            (in float32, and with the batch size of the run).
        rows: Number of test examples for `detailed`, drawn at random.

    Returns:
        Metrics by name, as in metrics.json of the run.

    Raises:
        Refusal: For num_samples < 1, and rows < 2.
    """
    if num_samples is None:
        num_samples = context.config["evaluation"]["num_samples"]
    within("task.num_samples", num_samples, 1)
    within("task.rows", rows, 2)
    metrics = measure(context, num_samples)
    run_files.write_metrics(context.out, metrics)
    details = detailed(context, num_samples, rows)
    context.write_json("evaluation.json", {**metrics, **details})
    draw(context.out / "evaluation.png", details)
    Console().print(results(metrics))
    return metrics


def measure(context: Context, num_samples: int) -> dict[str, float]:
    """The metrics of `evaluate`, without writing files.

    Args:
        context: The run.
        num_samples: Importance samples of test/nll.
    """
    _, objective, penalties = context.plan.build()
    training = Training(context.vae, objective, penalties, torch.optim.Adam, nll_samples=num_samples).eval()
    training.evaluation.to(context.vae.device)
    with torch.no_grad():
        for index, batch in enumerate(
            track(context.test, "evaluating")
        ):  # the same steps as in the test after training
            training.on_test_batch_start(batch, index)
            training.test_step(context.ready(batch), index)
    return {f"test/{name}": value for name, value in training.evaluation.compute().items()}


@torch.no_grad()
def detailed(context: Context, num_samples: int, rows: int) -> dict[str, Any]:
    """Detailed metrics of some test examples, as far as model and data allow.

    nll_of_class: by label, in nats. rate_distortion: for draws from q(z | x) with standard deviations multiplied by
    several temperatures. mutual_information: I(x; z) = E log q(z | x) - log q(z), where q(z) is the mean of q(z | x)
    over these rows; it is at most the log of their number, so a value near that is a lower bound. psnr (dB) and ssim:
    of reconstructions of images, the means of p(x | z) at a draw from q(z | x). calibration: how often pixels are
    bright (x > 1/2), by their probability under p(x | z), in bins; calibration_error is the mean difference of both.

    Args:
        context: The run.
        num_samples: Importance samples for nll_of_class.
        rows: Number of test examples, drawn at random.
    """
    part = context.data.in_order("test")
    part.indices = part.indices[torch.randperm(len(part.indices))[:rows]]
    vae, batches = context.vae, [context.ready(batch) for batch in part]
    features = [vae.encoder(batch.x) for batch in batches]
    found = dict[str, Any]()
    if vae.has_density:
        if batches[0].label is not None:
            found["nll_of_class"] = nll_of_class(vae, batches, num_samples)
        if curve := rate_distortion(vae, batches, features):
            found["rate_distortion"] = curve
        if vae.condition is None:
            found |= information(vae, torch.cat(features))
    pictures = isinstance(vae.space, Image) and min(vae.space.shape[1:]) >= WINDOW
    if pictures and Capability.AUTOREGRESSIVE not in vae.likelihood.gives:  # whose mean is slow
        found |= fidelity(vae, batches, features)
    if vae.space.values in ("binary", "discrete") and Capability.FACTORISED in vae.likelihood.gives:
        found |= calibration(vae, batches, features)
    return found


def nll_of_class(vae: VAE, batches: list[Batch], num_samples: int) -> dict[str, float]:
    """The mean nll of the rows of each class.

    Args:
        vae: The model.
        batches: Rows with labels.
        num_samples: Importance samples.

    Returns:
        Nats, by label.
    """
    log_w = [vae.log_weights(batch, num_samples) for batch in track(batches, "scoring classes")]
    nll = torch.cat([math.log(num_samples) - each.logsumexp(0) for each in log_w])
    label = torch.cat([class_of(batch.label) for batch in batches if batch.label is not None])
    return {str(int(value)): float(nll[label == value].mean()) for value in label.unique()}


def rate_distortion(vae: VAE, batches: list[Batch], features: list[Tensor]) -> list[dict[str, float]]:
    """Rate and distortion at several temperatures of the posterior.

    Args:
        vae: The model.
        batches: The rows.
        features: Output of the encoder for each batch.

    Returns:
        Temperature, rate and distortion of each point, in nats; empty for a posterior without a standard deviation.
    """
    points = []
    for temperature in TEMPERATURES:
        try:
            terms = [vae.terms(*pair, 1, temperature) for pair in zip(batches, features, strict=True)]
        except Refusal:
            return []
        rate, distortion = (torch.cat([getattr(each, name) for each in terms]) for name in ("rate", "distortion"))
        points.append({"temperature": temperature, "rate": float(rate.mean()), "distortion": float(distortion.mean())})
    return points


def information(vae: VAE, features: Tensor) -> dict[str, float]:
    """The mutual information of x and z.

    Args:
        vae: The model.
        features: Output of the encoder.

    Returns:
        Nats, by name; empty for several levels, and for posteriors that cannot score z of another row, or only slowly.
    """
    if len(vae.latents.levels) > 1 or not {Capability.DENSITY, Capability.MEAN} <= vae.latents.levels[0].gives:
        return {}
    (step,) = vae.infer(features).steps
    assert step.q is not None
    return {"mutual_information": mutual_information(step.q, step.z[0])}


def fidelity(vae: VAE, batches: list[Batch], features: list[Tensor]) -> dict[str, float]:
    """Peak signal-to-noise ratio and structural similarity of reconstructions, means over images.

    Args:
        vae: The model.
        batches: The rows.
        features: Output of the encoder for each batch.

    Returns:
        psnr in dB, and ssim.
    """
    psnr: Any = PeakSignalNoiseRatio(1.0, dim=(1, 2, 3)).to(vae.device)
    similarity = MeanMetric().to(vae.device)
    for batch, px in reconstructed(vae, track(batches, "reconstructing"), features):
        mean = px.mean[0]
        psnr.update(mean, batch.x)
        similarity.update(ssim(mean, batch.x))
    return {"psnr": float(psnr.compute()), "ssim": float(similarity.compute())}


def reconstructed(vae: VAE, batches: Iterable[Batch], features: Iterable[Tensor]) -> Iterator[tuple[Batch, Any]]:
    """Each batch with p(x | z) of a draw from q(z | x), of batch shape `[1, B]`.

    Args:
        vae: The model.
        batches: The rows.
        features: Output of the encoder for each batch.
    """
    for batch, feature in zip(batches, features, strict=True):
        yield batch, vae.likelihood(vae.infer(feature, condition=vae.condition_of(batch)).state)


def calibration(vae: VAE, batches: list[Batch], features: list[Tensor]) -> dict[str, Any]:
    """How often pixels are bright, by the probability that the model gives them.

    Args:
        vae: The model.
        batches: The rows.
        features: Output of the encoder for each batch.

    Returns:
        calibration_error, and the bins.
    """
    assert vae.space.bins is not None
    reliability, most = Reliability().to(vae.device), vae.space.bins - 1
    bright = [level / most for level in range(most + 1) if 2 * level > most]
    for batch, px in reconstructed(vae, track(batches, "calibrating"), features):
        p = sum(px.base_dist.log_prob(torch.full_like(batch.x, level)).exp()[0] for level in bright)
        reliability.update(p, batch.x > 0.5)
    bins = reliability.compute()
    return {"calibration_error": bins.pop("error"), "calibration": bins}


def draw(path: Path, details: Mapping[str, Any]) -> None:
    """Draw the rate-distortion curve, nll by class and calibration side by side, as far as they exist.

    Args:
        path: The PNG.
        details: Results of `detailed`.
    """
    panels = dict[str, Callable[[Any], None]]()

    def curve(axis: Any) -> None:
        points = details["rate_distortion"]
        axis.plot([each["rate"] for each in points], [each["distortion"] for each in points], marker="o")
        for each in points:
            axis.annotate(f" {each['temperature']:g}", (each["rate"], each["distortion"]))
        axis.set(xlabel="rate (nats per example)", ylabel="distortion (nats per example)")

    def bars(axis: Any) -> None:
        places = range(len(details["nll_of_class"]))
        axis.bar(places, details["nll_of_class"].values())
        axis.set_xticks(places, details["nll_of_class"])
        axis.set(xlabel="label", ylabel="negative log-likelihood (nats per example)")

    def diagonal(axis: Any) -> None:
        axis.plot([0, 1], [0, 1], color="gray", linewidth=1, label="perfect")
        axis.plot(details["calibration"]["predicted"], details["calibration"]["happened"], marker="o", label="model")
        axis.set(xlabel="p(x > 1/2 | z)", ylabel="fraction of pixels with x > 1/2")
        axis.legend()

    for name, title, plot in (
        ("rate_distortion", "Rate and distortion by temperature of q(z | x)", curve),
        ("nll_of_class", "NLL by class", bars),
        ("calibration", "Calibration", diagonal),
    ):
        if name in details:
            panels[title] = plot
    if panels:
        save_panels(path, panels)
