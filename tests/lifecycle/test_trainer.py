"""Trainer settings, callbacks and schedules do what their names say."""

import itertools
import json
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.utils import counters
from torch.optim.swa_utils import AveragedModel

from vaekit.callbacks.ema import average
from vaekit.callbacks.lagging import Lagging
from vaekit.metrics.evaluation import Evaluation
from vaekit.objectives.elbo import ELBO
from vaekit.schedules.schedule import at
from vaekit.training import module as training_module
from vaekit.vae import VAE


def metrics(folder):
    return json.loads((Path(folder) / "metrics.json").read_text())


def checkpoint(folder, name):
    return torch.load(Path(folder) / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.mark.parametrize(
    "words",
    [
        ["trainer=auto"],
        ["trainer.gradient_clip_val=1", "trainer.accumulate_grad_batches=2"],
        ["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1"],
        ["deterministic=true"],
        ["optimizer=adamw", "optimizer/decay=plateau", "optimizer.warmup=0.5", "trainer.check_val_every_n_epoch=2"],
        ["optimizer=adamax"],
        ["penalty=[adversary,gradient]", "trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1"],
        ["callbacks=[ema,early_stopping]", "callbacks.early_stopping.patience=0", "optimizer.lr=1e-6"],
    ],
    ids=" ".join,
)
def test_trains(train, words):
    done = train(*words, folder="run", epochs=2)
    assert done.code == 0, done.err
    assert math.isfinite(metrics("run")["test/nll"])
    assert done.err == ""


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["model=conv_vae"], True),
        (["model=conv_vae", "trainer.precision=bf16-mixed"], True),
        (["model=resnet_vae"], True),
        (["model=resnet_vae", "trainer.precision=bf16-mixed"], True),
        (["model=mlp_vae"], False),
    ],
    ids=str,
)
def test_convolutions_train_in_the_layout_that_is_faster(train, monkeypatch, words, last):
    seen = set()

    def watched(self, terms, epoch, call=ELBO.__call__):
        seen.update(
            part.weight.is_contiguous(memory_format=torch.channels_last)
            for name, part in encoders[0].named_modules()
            if isinstance(part, torch.nn.Conv2d) and part.in_channels > 1 and torch.is_grad_enabled()
        )
        return call(self, terms, epoch)

    encoders = []
    monkeypatch.setattr(
        VAE,
        "__init__",
        lambda self, encoder, *rest, call=VAE.__init__: (encoders.append(encoder), call(self, encoder, *rest))[1],
    )
    monkeypatch.setattr(ELBO, "__call__", watched)
    done = train(folder="run", tiny=["trainer=cpu", "evaluation.num_samples=2", *words])
    assert done.code == 0, done.err
    assert ("channels last" in done.out) == last
    assert seen == ({last} if words != ["model=mlp_vae"] else set())
    saved = checkpoint("run", "best")["state_dict"]
    weights = load_file("run/model.safetensors")
    assert all(torch.equal(weights[name], saved[f"vae.{name}"]) for name in weights)


def test_no_epochs_gives_an_untrained_model(train):
    done = train(folder="run", epochs=0)
    assert done.code == 0, done.err
    assert Path("run/model.safetensors").exists() and "test/nll" in metrics("run")


def test_a_fast_run_of_one_batch(train):
    done = train("trainer.fast_dev_run=true")
    assert done.code == 0, done.err
    assert {path.name for path in Path("outputs/day/run0").iterdir()} <= {".hydra", "config.yaml"}
    assert not Path("outputs/latest").exists()


def test_densities_stay_exact_under_bf16(train, monkeypatch):
    seen = []

    def watched(self, terms, epoch, call=ELBO.__call__):
        q = terms.steps[0].q.base_dist
        seen.extend([terms.log_px.dtype, terms.rate.dtype, q.loc.dtype, q.scale.dtype])
        return call(self, terms, epoch)

    def weighed(self, batch, num_samples, call=VAE.log_weights):
        log_w = call(self, batch, num_samples)
        weights.append((torch.is_autocast_enabled("cpu"), log_w.dtype))
        return log_w

    weights = []
    monkeypatch.setattr(ELBO, "__call__", watched)
    monkeypatch.setattr(VAE, "log_weights", weighed)
    done = train("trainer.precision=bf16-mixed", folder="run")
    assert done.code == 0, done.err
    assert set(seen) == {torch.float32}
    assert set(weights) == {(True, torch.float32)}, "test/nll too comes of networks in bf16 and densities in float32"


def test_without_callbacks_the_last_weights_are_kept(train):
    done = train("callbacks=none", folder="run")
    assert done.code == 0, done.err
    assert not Path("run/checkpoints").exists()
    assert {"val/loss", "test/nll"} <= metrics("run").keys()
    assert "epoch" not in done.out


def test_averaged_weights_are_what_is_validated_tested_and_exported(train):
    done = train("callbacks=ema", "callbacks.ema.decay=0.9", folder="run", epochs=2)
    assert done.code == 0, done.err
    best, exported = checkpoint("run", "best"), load_file("run/model.safetensors")
    assert all(torch.equal(best["state_dict"][f"vae.{name}"], exported[name]) for name in exported)
    assert any(not torch.equal(best["current_model_state"][f"vae.{name}"], exported[name]) for name in exported)
    assert best["validation"]["val/loss"] == metrics("run")["val/loss"]


def test_only_the_encoder_trains_between_full_steps(train, monkeypatch):
    """Two epochs of which the first lags; the weights of the rest move in every third step of it alone."""
    moved, before = {"encoder": [], "posterior": [], "likelihood": [], "prior": []}, {}

    def watch(self, trainer, module, *_):
        for part, steps in moved.items():
            now = [p.detach().clone() for name, p in module.vae.named_parameters() if part in name]
            if part in before:
                steps.append(any(not torch.equal(a, b) for a, b in zip(before[part], now, strict=True)))
            before[part] = now

    monkeypatch.setattr(Lagging, "on_train_batch_start", watch)
    lagging = ["callbacks=lagging", "callbacks.lagging.steps=3", "callbacks.lagging.epochs=1", "optimizer=adamw"]
    done = train(*lagging, "prior=mixture", folder="run", epochs=2)
    assert done.code == 0, done.err
    assert all(moved["encoder"]) and all(moved["posterior"])
    half = len(moved["prior"]) // 2
    for part in ("likelihood", "prior"):
        assert moved[part][:half] == [(step + 1) % 3 == 0 for step in range(half)]
        assert all(moved[part][half + 1 :])


def test_averages_forget_the_initial_weights():
    weights, steps = torch.nn.Linear(3, 2).requires_grad_(False), torch.nn.Linear(3, 2)
    steps.register_buffer("seen", torch.tensor(7))
    weights.register_buffer("seen", torch.tensor(0))
    averaged = AveragedModel(steps, multi_avg_fn=partial(average, decay=0.999), use_buffers=True)
    averaged.update_parameters(steps)
    for _ in range(200):
        averaged.update_parameters(weights)
    assert averaged.module.seen == 0
    for found, start, end in zip(averaged.module.parameters(), steps.parameters(), weights.parameters(), strict=True):
        torch.testing.assert_close(found, end, atol=1e-4, rtol=0)
        assert not torch.allclose(start, end, atol=1e-2)


def test_averages_decay_as_asked_after_many_steps():
    """(1 + n) / (10 + n) passes .9 at n = 80: from there each step keeps .9 of the average."""
    average(found := [torch.ones(3)], [torch.zeros(3)], torch.tensor(5000), decay=0.9)
    torch.testing.assert_close(found[0], torch.full((3,), 0.9))


def test_the_metrics_are_those_of_the_best_weights(train, monkeypatch):
    compute, growth = Evaluation.compute, itertools.count(0, 1000)
    monkeypatch.setattr(Evaluation, "compute", lambda self: (f := compute(self)) | {"loss": f["loss"] + next(growth)})
    done = train(folder="run", epochs=3)
    assert done.code == 0, done.err
    assert checkpoint("run", "best")["epoch"] == 0 and checkpoint("run", "last")["epoch"] == 2
    assert metrics("run")["val/loss"] == checkpoint("run", "best")["validation"]["val/loss"]
    assert metrics("run")["val/loss"] < checkpoint("run", "last")["validation"]["val/loss"]


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        (["objective.beta=4"], 4, 4),
        (["objective.beta.value=3"], 3, 3),
        (["schedule@objective.beta=linear", "objective.beta.epochs=5", "objective.beta.value=2"], 0, 2),
        (["schedule@objective.beta=cyclical", "objective.beta.value=2"], 0, 2),
        (["schedule@objective.free_bits=linear", "objective.free_bits.value=2"], 1, 1),
        (["model=beta_vae", "network=mlp", "network.hidden=[16]"], 0, 4),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_schedules_begin_at_their_start_and_are_validated_at_their_end(train, monkeypatch, words, first, last):
    seen = {"train": [], "val": []}

    def watched(self, terms, epoch, call=ELBO.__call__):
        seen["val" if epoch is None else "train"].append((epoch, at(self.beta, epoch)))
        return call(self, terms, epoch)

    monkeypatch.setattr(ELBO, "__call__", watched)
    done = train(*words, folder="run", epochs=2)
    assert done.code == 0, done.err
    assert seen["train"][0] == (0, first)
    assert {beta for _, beta in seen["val"]} == {last}
    epochs = [epoch for epoch, _ in seen["train"]]
    assert epochs == sorted(set(epochs)) and 1 < epochs[-1] < 2


def test_a_warm_up_then_a_cosine(train, monkeypatch):
    rates = []
    step = training_module.Training.on_train_batch_end

    def watched(self, outputs, batch, batch_idx):
        rates.append(self.optimizers().param_groups[0]["lr"])
        step(self, outputs, batch, batch_idx)

    monkeypatch.setattr(training_module.Training, "on_train_batch_end", watched)
    words = ["optimizer/decay=cosine", "optimizer.decay.final=0.1", "optimizer.warmup=1"]
    assert train(*words, folder="run", epochs=4).code == 0
    top = rates.index(max(rates))
    assert 9 <= top <= 12 and rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(1e-4)


@pytest.mark.long
def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_good_weights(train):
    words = ["optimizer/decay=step", "optimizer.decay.epochs=[1.5]", "optimizer.decay.factor=1e15"]
    done = train(*words, folder="run", epochs=3)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "not finite" in done.err and "step" in done.err and "the last good checkpoint is" in done.err
    assert str(Path("run/checkpoints/last.ckpt").resolve()) in done.err
    assert all(torch.isfinite(value).all() for value in checkpoint("run", "last")["state_dict"].values())
    assert checkpoint("run", "last")["epoch"] == 0


def test_unscaled_rows_are_reported_with_a_working_command(train):
    x = np.random.default_rng(0).normal(size=(200, 4)) * [1, 1e25, 1, 0] + [0, 0, 1e4, 5]
    np.save("rows.npy", x)
    words = ["data=arrays", "model=mlp_vae"]
    done = train(*words, "data.path=rows.npy", folder="run")
    assert done.code == 1 and "not finite" in done.err and "optimizer.lr" not in done.err
    advice = re.search(r"Save (.*), and name", done.err)[1]
    np.save("scaled.npy", eval(advice, {"numpy": np, "x": x}))
    done = train(*words, "data.path=scaled.npy", folder="other")
    assert done.code == 0 and "standard deviations up to" not in done.out + done.err


@pytest.mark.parametrize("step", [3, 10])  # in the middle of an epoch, and in its last batch: the weights go bad
def test_a_gradient_that_is_not_finite_never_reaches_a_checkpoint(train, monkeypatch, step):
    before = training_module.Training.training_step

    def poisoned(self, batch, batch_idx):
        loss = before(self, batch, batch_idx)
        return loss * float("nan") if self.global_step == 11 + step else loss

    monkeypatch.setattr(training_module.Training, "training_step", poisoned)
    done = train(folder="run", epochs=3)
    assert done.code == 1 and "finite" in done.err and "Traceback" not in done.err
    for name in ("last", "best"):
        assert all(torch.isfinite(value).all() for value in checkpoint("run", name)["state_dict"].values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # warnings of torch's compiler
def test_a_run_compiles_once(train):
    """It compiles neither for the smaller last batch nor for evaluation; a resumed run compiles once more."""
    for epochs, words in ((2, []), (3, ["ckpt_path=run/checkpoints/last.ckpt"])):
        torch._dynamo.reset()
        counters.clear()
        done = train("compile=true", *words, folder="run", epochs=epochs)
        assert done.code == 0, done.err
        assert counters["stats"]["unique_graphs"] == 1
        assert not any("_orig_mod" in name for name in load_file("run/model.safetensors"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_that_cannot_be_compiled_continues_with_a_warning(train_apart):
    done = train_apart("compile=true", "hydra.run.dir=run", "trainer.max_epochs=1", CXX="/nowhere/c++")
    assert done.code == 0, done.err
    assert "torch.compile failed" in done.out + done.err
    assert math.isfinite(metrics("run")["test/nll"])


@pytest.mark.slow
def test_bf16_trains_to_the_same_nll(train):
    """Nearer to float32 than 1 nat of about 160 or, if they differ by more, than another seed is."""
    nll = {}
    for words in (["seed=1"], ["seed=2"], ["seed=1", "trainer.precision=bf16-mixed"]):
        done = train(*words, "network.hidden=[256]", folder=str(len(nll)), epochs=10)
        assert done.code == 0, done.err
        nll[" ".join(words)] = metrics(str(len(nll)))["test/nll"]
    one, other, bf16 = nll.values()
    assert abs(bf16 - one) < max(1.0, 2 * abs(other - one))
