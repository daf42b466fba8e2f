"""Exports a run in formats that other programs read."""

from __future__ import annotations

import copy
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit import hub
from vaekit.capabilities import Capability
from vaekit.latents.tower import Step, descend
from vaekit.media.image import to_levels
from vaekit.refusal import Refusal, reason
from vaekit.spaces import Image
from vaekit.tasks.shared.anomaly import ALPHA, EXACT, latents_and_mean
from vaekit.tasks.shared.checks import needed
from vaekit.tasks.shared.context import Context
from vaekit.tasks.shared.model_card import model_card
from vaekit.tasks.shared.requires import requires
from vaekit.track import track
from vaekit.vae import VAE

LARGEST = 1e-4  # largest allowed difference between exported file and module
CHECKED = 64  # number of test examples for this check, and of draws from the prior
FIGURES = ("samples.png", "reconstructions.png", "interpolations.png")


class Encoder(nn.Module):
    """The posterior means of a VAE as a module: x `[B, *space.shape]` to `[B, ...]` for each latent level, top first.

    Args:
        vae: The model.
    """

    def __init__(self, vae: VAE):
        super().__init__()
        self.encoder, self.levels = vae.encoder, vae.latents.levels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features = self.encoder(x)
        draw = descend(self.levels, lambda level, state, p: Step(level.infer(features, state).mean, None, p))
        return tuple(step.z for step in draw.steps)


class Decoder(nn.Module):
    """The decoder of a VAE as a module: one z `[B, ...]` for each latent level, top first, to the mean of p(x | z).

    Args:
        vae: The model.
    """

    def __init__(self, vae: VAE):
        super().__init__()
        self.levels, self.likelihood = vae.latents.levels, vae.likelihood

    def forward(self, *zs: Tensor) -> tuple[Tensor]:
        given = iter(zs)
        draw = descend(self.levels, lambda level, state, p: Step(next(given), None, p))
        return (self.likelihood(draw.state).mean,)


class RawDetector(nn.Module):
    """Anomaly scores, p-values and alarms of raw rows as a module.

    x `[B, *space.shape]`, bytes for images and the data space otherwise, to `[B]` for each of `RawDetector.outputs`. A
    score within a factor of 1e-5 of a calibration row's counts as equal to it, so that rounding changes no p-value.

    Args:
        vae: The model.
        fitted: Arrays of detector.npz, by name.
    """

    of_mean: Tensor
    of_precision: Tensor

    def __init__(self, vae: VAE, fitted: Mapping[str, np.ndarray]):
        super().__init__()
        self.vae = vae
        self.names = [name for name in EXACT if name in fitted]
        for name, each in fitted.items():
            self.register_buffer(f"of_{name}", torch.as_tensor(each, dtype=torch.float32))

    @property
    def outputs(self) -> list[str]:
        """Names of what is computed."""
        return [f"{kind}_{name}" for name in self.names for kind in ("score", "p", "alarm")]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.vae.space, Image):
            x = to_levels(x.float() / 255, self.vae.space)
        latents, mean = latents_and_mean(self.vae, self.vae.encoder(x), None)
        centered = latents - self.of_mean
        scores = {
            "latent": ((centered @ self.of_precision) * centered).sum(1).sqrt(),
            "reconstruction": (mean - x).square().flatten(1).sum(1),
        }
        found: list[Tensor] = []
        for name in self.names:
            calibration, score = self.get_buffer(f"of_{name}"), scores[name]
            higher = (calibration >= score[:, None] * (1 - 1e-5)).float().sum(1)
            p = (1 + higher) / (1 + len(calibration))
            found += [score, p, p <= ALPHA]
        return tuple(found)


def _read_detector(path: Path, vae: VAE, size: int) -> RawDetector:
    """The detector in a file, for latents of this size."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            detector = RawDetector(vae, dict(arrays))
        if not detector.names:
            raise ValueError("it has neither latent nor reconstruction")
        if detector.of_mean.shape != (size,) or detector.of_precision.shape != (size, size):
            raise ValueError(f"it is not of {size} latent dimensions, as this run is")
        return detector
    except (OSError, ValueError, AttributeError, EOFError, BadZipFile) as error:
        raise Refusal(
            f"Cannot read task.detector={path} ({reason(error)}). Expected the detector.npz of task=detect, with "
            "'task.scores=[latent,reconstruction]' or more."
        ) from error


@requires(Capability.UNCONDITIONAL, instead="use vaekit.load")
def export(context: Context, push: str | None = None, detector: str | Path | None = None) -> dict[str, float]:
    """Export encoder and decoder as .onnx and .pt2, with weights, configuration, figures and a model card.

    encoder: x to the posterior means z (z_0, z_1, ... for several levels, top first). decoder: z to the mean of p(x |
    z). torch.export.load reads the .pt2 files. Both are for batches of any size, in float32, on the CPU. `vaekit.load`
    reads model.safetensors and config.yaml. The files have the layout of a Hugging Face repository. What cannot be
    exported is left out, and the terminal says why: the encoder of a posterior without a mean (a flow), and whatever
    torch cannot trace or ONNX has no operator for.

    Args:
        context: The run.
        push: Hugging Face repository to which the files are uploaded, with the account of this machine; None for no
            upload.
        detector: The file detector.npz of task=detect, for detector.onnx and .pt2: raw x (bytes of images) to the
            scores latent and reconstruction, their p-values, and alarms, p <= .05. Other scores draw z at random, and
            are left out.

    Returns:
        The largest absolute difference between each exported file and the module, for test examples and draws from the
            prior.

    Raises:
        Refusal: If a package is missing, nothing can be exported, or a difference is above 1e-4.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        needed(package, "export")

    if push is not None:
        needed("huggingface_hub", "hub")  # before the export, which takes time

    vae = copy.deepcopy(context.vae).cpu()
    levels = range(len(vae.latents.levels))
    names = ["z"] if len(levels) == 1 else [f"z_{level}" for level in levels]
    x = context.examples(context.sample(CHECKED)).cpu()
    with torch.no_grad():
        zs = tuple(step.z for step in vae.generate(CHECKED).steps)
    modules: dict[str, tuple[nn.Module, tuple[Tensor, ...], list[str], list[str]]] = {
        "encoder": (Encoder(vae), (x,), ["x"], names),
        "decoder": (Decoder(vae), zs, names, ["x"]),
    }
    if not all(Capability.MEAN in level.gives for level in vae.latents.levels):
        del modules["encoder"]
        Console().print("The posterior has no mean in closed form, so there is no encoder to export.")
    if Capability.AUTOREGRESSIVE in vae.likelihood.gives:
        del modules["decoder"]
        Console().print("The likelihood draws value by value, so there is no decoder to export.")
    if detector is not None:
        fitted, raw = _read_detector(Path(detector).expanduser(), vae, zs[0][0].numel()), x
        if isinstance(vae.space, Image):
            raw = (x * 255).round().byte()
        modules["detector"] = (fitted, (raw,), ["x"], fitted.outputs)
    differences = dict[str, float]()
    for name, (module, inputs, given, made) in track(modules.items(), "exporting"):
        differences |= write(context.out / name, module.eval(), inputs, given, made)
    table = Table("file", "max abs difference", title="Exported", title_justify="left")
    for file, difference in differences.items():
        table.add_row(file, f"{difference:.1e}")
    Console().print(table)
    if not differences:
        raise Refusal("Neither the encoder nor the decoder can be traced by torch.export; use vaekit.load.")
    if not all(difference <= LARGEST for difference in differences.values()):  # also false for NaN
        raise Refusal(f"What was exported differs from the module by more than {LARGEST:g}; use vaekit.load.")

    for part in ("config.yaml", "model.safetensors"):
        shutil.copy(context.run / part, context.out)
    figures = [name for name in FIGURES if (context.run / "figures" / name).is_file()]
    for figure in figures:
        shutil.copy(context.run / "figures" / figure, context.out)
    (context.out / "README.md").write_text(model_card(context, differences, figures), encoding="utf-8")
    if push is not None:
        hub.upload(push, context.out)
    return differences


@torch.no_grad()
def write(
    path: Path, module: nn.Module, inputs: tuple[Tensor, ...], given: list[str], made: list[str]
) -> dict[str, float]:
    """Write PATH.pt2 and PATH.onnx, and read them back.

    Args:
        path: Path without suffix.
        module: What is exported.
        inputs: Example inputs.
        given: Names of the inputs.
        made: Names of the outputs.

    Returns:
        Differences from the module for these inputs, by file. A format that fails is left out, and the terminal says
            why.
    """
    expected, few = module(*inputs), tuple(each[:3] for each in inputs)
    batch = {0: torch.export.Dim("batch")}
    each: Any = tuple(batch for _ in inputs)
    shapes: Any = (each,) if isinstance(module, Decoder) else each  # *zs is one argument
    program: Any = None

    def by_torch(file: Path) -> Any:
        nonlocal program
        program = torch.export.export(module, few, dynamic_shapes=shapes)
        program.graph.eliminate_dead_code()  # e.g. a covariance's Cholesky factor: no mean needs it, ONNX has none
        torch.export.save(program, file)
        return torch.export.load(file).module()(*inputs)

    def by_onnx(file: Path) -> Any:
        from onnxruntime import InferenceSession

        torch.onnx.export(
            program, few, file, dynamo=True, opset_version=20, external_data=False, verbose=False,
            input_names=given, output_names=made, dynamic_shapes=shapes,
        )  # fmt: skip
        session = InferenceSession(file, providers=["CPUExecutionProvider"])
        return session.run(made, {name: each.numpy() for name, each in zip(given, inputs, strict=True)})

    differences = {}
    for file, run in ((path.with_suffix(".pt2"), by_torch), (path.with_suffix(".onnx"), by_onnx)):
        try:
            with quiet():
                found = run(file)
        except Exception as error:  # torch and onnxruntime raise nearly anything
            file.unlink(missing_ok=True)
            why = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
            Console().print(f"{file.name} is left out: {why}", soft_wrap=True, markup=False)
            continue
        pairs = zip(found, expected, strict=True)
        differences[file.name] = max(float((torch.as_tensor(a).float() - b.float()).abs().max()) for a, b in pairs)
    return differences


@contextmanager
def quiet() -> Iterator[None]:
    """A context without warnings of torch about itself, and without checks of distributions, which cannot be traced."""
    for package in ("onnx_ir", "onnxscript"):
        logging.getLogger(package).setLevel(logging.WARNING)
    validated = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Distribution.set_default_validate_args(validated)
