"""Starting from the weights of a trained run, and frozen parts."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import GRAY, build, drawn, examples, rows
from vaekit.refusal import Refusal
from vaekit.training.module import Training
from vaekit.training.transfer import freeze, match


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def of(state, *parts):
    return {name: value for name, value in state.items() if name.startswith(parts)}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.long
@pytest.mark.parametrize("words", [["optimizer=adamw", "callbacks=ema"], ["trainer.gradient_clip_val=1"]])
def test_a_frozen_part_starts_from_the_run_and_does_not_move(train, words):
    assert train("latents.dim=3", folder="first").code == 0
    before = {path: path.read_bytes() for path in Path("first").rglob("*") if path.is_file()}
    other = ["data.binarize=threshold", "likelihood=bernoulli", "seed=2", "data.classes=[0,1]"]
    done = train("init_from=first", "freeze=[network.encoder]", *other, *words, folder="second", epochs=2)
    assert done.code == 0, done.err
    assert "init_from=first: network.encoder" in done.out and "posterior not (" in done.out
    first, second = weights("first"), weights("second")
    assert same(of(first, "encoder."), of(second, "encoder."))
    moved = of(second, "likelihood.network.body.1.weight")
    assert not same(moved, of(first, *moved))
    assert before == {path: path.read_bytes() for path in before}
    last = torch.load("second/checkpoints/last.ckpt", weights_only=True)
    moments = last["optimizer_states"][0]["state"]
    learned = [name for name in last["state_dict"] if not name.startswith("vae.encoder.")]
    assert 0 < len(moments) <= len(learned)
    done = train("init_from=gone", "freeze=[network.encoder]", *other, *words,
                 "ckpt_path=second/checkpoints/last.ckpt", epochs=3)  # fmt: skip
    assert done.code == 0, done.err
    assert same(of(first, "encoder."), of(weights("second"), "encoder."))


def hashes(folder):
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.long
def test_train_then_tune_on_other_data_then_go_on(train, monkeypatch):
    """The first run stays as it is, byte for byte; what is frozen stays its weights, bit for bit."""
    generator = np.random.default_rng(0)
    np.savez("other.npz", x=generator.integers(0, 256, (300, 8, 8), dtype=np.uint8), y=generator.integers(0, 3, 300))
    assert train("latents.dim=3", folder="first", figures=True).code == 0
    before = hashes("first")
    tune = ["data=arrays_uint8", "data.path=other.npz", "latents.dim=3", "freeze=[network.encoder]"]
    done = train("init_from=first", *tune, folder="second", epochs=2, figures=True)
    assert done.code == 0, done.err
    first, tuned = weights("first"), weights("second")
    assert same(of(tuned, "encoder."), of(first, "encoder."))
    assert not same(of(tuned, "likelihood.network."), of(first, "likelihood.network."))
    figures = drawn(monkeypatch)
    done = train(*tune, "init_from=first", "ckpt_path=second/checkpoints/last.ckpt", epochs=4, figures=True)
    assert done.code == 0, done.err
    longer = weights("second")
    assert same(of(longer, "encoder."), of(first, "encoder."))
    assert not same(of(longer, "likelihood.network."), of(tuned, "likelihood.network."))
    assert hashes("first") == before
    metrics = json.loads(Path("second/metrics.json").read_text())
    losses = {int(float(row["epoch"])): float(row["val/loss"]) for row in rows("second") if "val/loss" in row}
    assert sorted(losses) == [0, 1, 2, 3] and losses[metrics["epoch"]] == min(losses.values())
    assert metrics["val/loss"] == pytest.approx(min(losses.values()))
    titles = [axis.get_title(loc) for figure in figures for axis in figure.axes for loc in ("left", "center")]
    assert f"Reconstructions of test examples; weights of epoch {metrics['epoch']}" in [
        t.replace("\n", " ") for t in titles
    ]


def test_init_from_copies_the_weights_of_the_other_run(train):
    assert train(folder="first", epochs=2).code == 0
    done = train("init_from=first", "trainer.max_epochs=0", folder="second", epochs=0)
    assert done.code == 0, done.err
    assert same(weights("first"), weights("second"))
    metrics = [json.loads(Path(run, "metrics.json").read_text()) for run in ("first", "second")]
    assert metrics[0]["test/nll"] == metrics[1]["test/nll"]


@pytest.mark.long
def test_init_from_without_fitting_parts_is_refused_without_a_folder(train):
    assert train("network.hidden=[16]", folder="first").code == 0
    state = weights("first")
    save_file({f"{name}.x": value for name, value in state.items()}, "first/model.safetensors")
    done = train("init_from=first", folder="second")
    assert done.code == 1 and "No part of it can be used" in done.err and "Traceback" not in done.err
    assert "is missing in that run" in done.err or "in that run, missing in this model" in done.err
    assert not Path("second/config.yaml").exists()
    assert "holds no run" in train("init_from=nowhere", folder="third").err


def test_batch_statistics_and_codebooks_of_a_frozen_part_do_not_change():
    vae, objective = build(GRAY, "model=vq_vae", "network.channels=[8]", "prior=code_uniform")
    vae.encoder.body.append(torch.nn.BatchNorm2d(vae.encoder.out_shape[0]))
    frozen = freeze(vae, ["network.encoder", "posterior"])
    training = Training(vae, objective, torch.nn.ModuleDict(), torch.optim.SGD, frozen=frozen)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    training.train()
    optimizer = torch.optim.SGD([weight for weight in vae.parameters() if weight.requires_grad], 0.1)
    for seed in range(3):
        objective(vae(examples(GRAY, 20, seed), 1), None).mean().backward()
        optimizer.step()
    after = vae.state_dict()
    assert same(of(before, "encoder.", "latents."), of(after, "encoder.", "latents."))
    assert not same(of(before, "likelihood.network"), of(after, "likelihood.network"))
    assert not vae.encoder.training and vae.likelihood.network.training


def test_one_part_may_be_named_alone_and_null_is_none():
    vae, _ = build(GRAY, "network=mlp", "network.hidden=[16]")
    assert freeze(vae, None) == [] and all(weight.requires_grad for weight in vae.parameters())
    freeze(vae, "network")
    assert not any(weight.requires_grad for weight in vae.encoder.parameters())


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["network.encodr"], r"freeze=network.encodr .*network.decoder.*Try 'freeze=\[network.encoder\]'"),
        (["e"], "is not a part"),
        ("networks", r"freeze=networks is not a part"),
        ([3], "freeze=3 is not a part"),
        (["network", "posterior", "likelihood"], "leaves nothing to train"),
    ],
)
def test_unknown_parts_and_all_parts_are_refused(names, sentence):
    vae, _ = build(GRAY, "network=mlp", "network.hidden=[16]")
    with pytest.raises(Refusal, match=sentence):
        freeze(vae, names)


def test_parts_match_whole_or_not_at_all():
    vae, _ = build(GRAY, "network=mlp", "network.hidden=[16]", "latents.dim=3")
    other, _ = build(GRAY, "network=mlp", "network.hidden=[16]", "latents.dim=4", "prior=vamp", seed=1)
    found, unlike = match(vae, other.state_dict())
    assert set(unlike) == {"posterior", "network.decoder", "prior"} and unlike["prior"] == "this model has none"
    assert set(found) == set(of(vae.state_dict(), "encoder.")) | {"likelihood.bias"}
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in found.items())
