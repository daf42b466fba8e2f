"""Runs of an earlier version, whose weights had other names."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import vaekit
from helpers import BINARY, GRAY, PAIRS, TEXT, examples, write_run
from vaekit.coding.archive import fingerprint
from vaekit.refusal import Refusal
from vaekit.renames import weights_of
from vaekit.runs import parse_config, parse_yaml, read_weights
from vaekit.training.transfer import match

SENTENCES = ("network=transformer", "network.width=4", "network.blocks=1", "network.heads=2", "data=text",
             "likelihood=tokens", "likelihood.context=4", "writer@likelihood.writer=transformer",
             "likelihood.writer.width=4", "likelihood.writer.heads=2", "likelihood.writer.blocks=1",
             "likelihood.writer.embedding=4", "latents.dim=3")  # fmt: skip
BLOCK = ("look.0.weight", "look.0.bias", "look.1.weight", "look.1.bias", "join.weight", "join.bias", "think.0.weight",
         "think.0.bias", "think.1.weight", "think.1.bias", "think.3.weight", "think.3.bias")  # fmt: skip
LADDER = ("network=mlp", "network.hidden=[8]", "latents=ladder", "latents.dim=3", "latents.levels=2", "latents.width=8",
          "prior=vamp", "prior.components=4", "likelihood=pixel_autoregressive", "likelihood.width=4",
          "likelihood.layers=1", "data.binarize=threshold")  # fmt: skip
OLD = {  # the names in the file that 0.1 wrote, in the order of the modules
    SENTENCES: [
        "encoder.places", "encoder.embed.weight", *(f"encoder.blocks.0.{name}" for name in BLOCK),
        "encoder.norm.weight", "encoder.norm.bias",
        "latents.levels.0.posterior.head.weight", "latents.levels.0.posterior.head.bias",
        "likelihood.bias", "likelihood.network.linear.weight", "likelihood.writer.bias",
        "likelihood.writer.embed.weight", "likelihood.writer.out.weight", "likelihood.writer.out.bias",
        "likelihood.writer.enter.weight", "likelihood.writer.enter.bias", "likelihood.writer.attend.places",
        *(f"likelihood.writer.attend.blocks.0.{name}" for name in BLOCK),
        "likelihood.writer.attend.norm.weight", "likelihood.writer.attend.norm.bias",
    ],
    LADDER: [
        "encoder.network.body.1.weight", "encoder.network.body.1.bias",
        *(f"encoder.steps.0.1.{i}.{kind}" for i in (0, 1, 3, 4) for kind in ("weight", "bias")),
        "latents.levels.0.posterior.head.weight", "latents.levels.0.posterior.head.bias",
        "latents.levels.0.prior.pseudo",
        *(f"latents.levels.0.below.{i}.{kind}" for i in (0, 1, 3, 4) for kind in ("weight", "bias")),
        "latents.levels.1.posterior.head.weight", "latents.levels.1.posterior.head.bias",
        "latents.levels.1.prior.head.weight", "latents.levels.1.prior.head.bias",
        *(f"latents.levels.1.meet.{i}.{kind}" for i in (0, 1, 3, 4) for kind in ("weight", "bias")),
        "likelihood.bias", "likelihood.network.body.1.weight", "likelihood.network.body.1.bias",
        "likelihood.network.body.3.weight",
        *(f"likelihood.pixels.{name}.{kind}" for name in ("down", "right") for kind in ("weight", "bias")),
        "likelihood.pixels.layers.0.down.weight", "likelihood.pixels.layers.0.down.bias",
        "likelihood.pixels.layers.0.told.weight", "likelihood.pixels.layers.0.across.weight",
        "likelihood.pixels.layers.0.across.bias", "likelihood.pixels.layers.0.right.weight",
        "likelihood.pixels.layers.0.out.weight", "likelihood.pixels.layers.0.out.bias",
        *(f"likelihood.pixels.head.{i}.{kind}" for i in (1, 3) for kind in ("weight", "bias")),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("words", "space"), [(SENTENCES, TEXT), (LADDER, BINARY)], ids=["sentences", "ladder"])
def test_weights_of_an_earlier_version_give_the_same_answers(words, space, tmp_path):
    folder = write_run(tmp_path / "run", space, *words)
    vae, x = vaekit.load(folder), examples(space, 3).x
    torch.manual_seed(1)
    expected = vae.log_likelihood(x, num_samples=2)
    now = vae.state_dict()
    old = dict(zip(OLD[words], now.values(), strict=True))
    save_file(old, folder / "model.safetensors")
    before = vaekit.load(folder)
    torch.manual_seed(1)
    assert torch.equal(before.log_likelihood(x, num_samples=2), expected)
    fitting, unlike = match(vae, load_file(folder / "model.safetensors"))  # as init_from starts from them
    assert not unlike and fitting.keys() == now.keys()
    assert fingerprint(read_weights(folder)) == fingerprint(old)  # which archives of the run hold


@pytest.mark.parametrize(
    ("space", "words"),
    [(BINARY, ["model=mlp_vae", "likelihood=bernoulli"]), (PAIRS, ["model=mvae", "likelihood=paired"])],
    ids=["image", "pairs"],
)
def test_fields_of_spaces_of_an_earlier_version_have_new_names(space, words, tmp_path):
    folder = write_run(tmp_path / "run", space, *words)
    path = folder / "config.yaml"
    before, _, described = path.read_text().rpartition("space:\n")
    assert "bins: 2" in described
    path.write_text(f"{before}space:\n{described.replace('bins: 2', 'levels: 2')}")
    assert vaekit.load(folder).space == space


@pytest.mark.parametrize(
    ("space", "words", "new", "old"),
    [(TEXT, SENTENCES, "context: 4", "told: 4"),
     (BINARY, ["model=mlp_vae", "posterior=hamiltonian", "likelihood=bernoulli"],
      "inverse_temperature: 0.5", "cold: 0.5"),
     (BINARY, ["model=mlp_vae", "likelihood=bernoulli_autoregressive"], "radius: 4", "reach: 4"),
     (GRAY, ["model=mlp_vae", "likelihood=discretized_logistic", "penalty=image_adversary"],
      "generator_weight: 1.0", "fooling: 1.0")],
    ids=["tokens", "hamiltonian", "bernoulli_autoregressive", "image_adversary"],
)  # fmt: skip
def test_settings_of_an_earlier_version_have_new_names(space, words, new, old, tmp_path):
    folder = write_run(tmp_path / "run", space, *words)
    path = folder / "config.yaml"
    now = path.read_text()
    assert now.count(new) == 1
    path.write_text(now.replace(new, old))
    vaekit.load(folder)
    assert parse_config(path) == parse_yaml(now)  # as resumption compares them


def test_unknown_names_are_refused(tmp_path):
    folder = write_run(tmp_path / "run", BINARY, "network=mlp", "network.hidden=[8]", "latents.dim=3")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.unheard_of.weight"] = weights.pop("encoder.body.1.weight")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(Refusal, match=r"does not fit its config\.yaml .*encoder\.unheard_of\.weight"):
        vaekit.load(folder)


def test_a_user_defined_part_keeps_its_weight_names():
    own = nn.Module()
    own.prior = nn.ParameterDict({"pseudo": nn.Parameter(torch.zeros(2))})
    assert weights_of(own.state_dict(), own).keys() == {"prior.pseudo"}
    assert weights_of(own.state_dict(), nn.Module()).keys() == {"prior.pseudo_inputs"}
