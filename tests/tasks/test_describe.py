"""The description of a run."""

import json

import pytest

from vaekit.tasks.describe import describe
from vaekit.tasks.shared.context import open_run


def test_parts_spaces_and_counts(digits, capsys):
    found = describe(digits)
    assert json.loads((digits.out / "describe.json").read_text()) == found
    assert (found["x"], found["z"]) == ("Image 1x8x8, discrete, 17 levels", ["Real 3, continuous"])
    counts = {part["part"]: part["parameters"] for part in found["parts"]}
    assert counts["encoder"] == 64 * 32 + 32
    assert counts["posterior"] == 2 * (32 * 3 + 3)
    assert found["parameters"] == sum(weights.numel() for weights in digits.vae.parameters())
    assert found["parameters"] == sum(counts.values())
    choices = {part["part"]: part["choice"] for part in found["parts"]}
    assert choices["likelihood"] == "discretized_logistic" and choices["data"] == "digits"
    assert f"{found['parameters']:,}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "z"),
    [
        (("posterior=von_mises_fisher", "prior=sphere_uniform"), ["Sphere 3, continuous"]),
        (("latents=ladder", "latents.levels=2", "latents.width=8"), ["Real 1, continuous", "Real 3, continuous"]),
    ],
)
def test_other_latent_spaces(untrained, tmp_path, overrides, z):
    assert describe(open_run(untrained(*overrides), tmp_path, device="cpu"))["z"] == z
