"""Invalid configurations are refused before training, with what to type instead."""

import re

import numpy as np
import pytest
import torch

from vaekit.refusal import Refusal, causes, refusal_in

CASES = {  # overrides: what the sentence must say
    "model=nope": "Available options in 'model'.*mlp_vae",
    "model=7": "Got model=7, expected one of .*mlp_vae",
    "condition=null": "use .*'~condition'",
    "netwrk.hidden=[3]": "Did you mean .network.hidden=",
    "likelihood=bernoulli": "use .*likelihood=discretized_logistic.*data.binarize=dynamic",
    "likelihood=gaussian": "data.dequantize=true",
    "objective.free_bits=-1": "objective.free_bits=-1 must be at least 0",
    "objective.beta=-1": "objective.beta=-1 must be at least 0",
    "objective.num_samples=0": "use objective.num_samples=1",
    "objective=iwae objective.num_samples=0": "use objective.num_samples=",
    "objective.num_samples=1.5": r"Got objective.num_samples=1.5, expected a whole number",
    "data.batch_size=0": "data.batch_size=128",
    "data.batch_size=many": "Got data.batch_size=many, expected a whole number",
    "optimizer.lr=-1": "use optimizer.lr=1e-3",
    "optimizer.lr=abc": "Got optimizer.lr=abc, expected a number",
    "optimizer.lr=inf": "Got optimizer.lr=inf, expected a number",
    "objective.beta=nan": "Got objective.beta.*=nan, expected a number",
    "trainer.max_epochs=-5": "use trainer.max_epochs=10",
    "optimizer.warmup=-1": "use optimizer.warmup=0",
    "optimizer.warmup=long": "Got optimizer.warmup=long, expected a number",
    "+optimizer.algorithm.eps=-1": "optimizer cannot be built: .*epsilon",
    "+optimizer.algorithm.speed=2": "optimizer.algorithm.speed=2 is not read by any part",
    "latents.dim=0": "latents.dim=32",
    "latents.dim=many": "Got latents.dim=many, expected a whole number",
    "latents.dim=-3": "latents.dim=-3 must be at least 1; use latents.dim=32",
    "network.hidden=[-16]": "use 'network.hidden=.512,256.'",
    "network.hidden=[0]": r"network.hidden=\[0\] must be at least 1; use 'network.hidden=",
    "network.hidden=16": "Got network.hidden=16, expected a list, each entry a whole number",
    "network.hidden=[a]": "Got network.hidden=.*expected a list, each entry a whole number",
    "network.activation=Rainbow": "use ReLU",
    "evaluation.num_samples=0": "use evaluation.num_samples=100",
    "evaluation.num_samples=some": "Got evaluation.num_samples=some, expected a whole number",
    "seed=one": "Got seed=one, expected a whole number",
    "seed=-1": "use seed=1",
    "seed=99999999999": "must be from 0 to 4294967295; use seed=1",
    "trainer.devices=0": "trainer cannot be built: .*devices=0",
    "trainer.precision=16-mixed trainer.gradient_clip_val=1": "use trainer.precision=bf16-mixed",
    "trainer.gradient_clip_val=-1": "use trainer.gradient_clip_val=1",
    "callbacks=ema callbacks.ema.decay=2": "use callbacks.ema.decay=0.999",
    "trainer.max_epochs=few": "Got trainer.max_epochs=few, expected a whole number",
    "trainer.precision=3": "Got trainer.precision=3, expected one of",
    "trainer.accelerator=abacus": "trainer cannot be built: .*abacus",
    "trainer.max_epochs=-1 optimizer/decay=cosine": "use trainer.max_epochs=100",
    "optimizer/decay=cosine optimizer.decay.final=low": "Got optimizer.decay.final=low, expected a number",
    "schedule@objective.beta=linear objective.beta.epochs=0": "epochs=0 has no slope",
    "+callbacks.best.save_top_k=-7": "callbacks cannot be built",
    "logger.csv.folder=[1]": "logger cannot be built",
    "hydra.run.dir=/dev/null/run": "Cannot write to /dev/null/run.*give another hydra.run.dir=",
    "--multirun hydra.sweep.dir=/dev/null/run": "Cannot write to /dev/null/run.*give another hydra.sweep.dir=",
}


def assert_refused(done, pattern):
    assert done.code == 1
    assert re.search(pattern, done.err, re.DOTALL), done.err
    assert not re.search("Traceback|Error executing|Set the environment", done.err), done.err
    assert "epoch" not in done.out, "it trained"


@pytest.mark.parametrize("words", CASES)
def test_refused(train, words):
    assert_refused(train(*words.split()), CASES[words])


@pytest.mark.parametrize("trainer", ["gpu", "mps"])
def test_a_missing_device_is_refused(train, monkeypatch, trainer):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert_refused(train(f"trainer={trainer}"), "use trainer=cpu")


@pytest.mark.parametrize("widths", ["[]", "[-8]", "[0]"])
def test_convolutions_of_no_width(train, widths):
    for network in ("conv", "resnet"):
        words = [f"network={network}", f"network.channels={widths}"]
        assert_refused(train(*words, tiny=[]), r"use .*network.channels=\[32,64\]")


def test_convolutions_over_vectors(train, here):
    np.save(here / "rows.npy", np.random.default_rng(0).normal(size=(50, 5)).astype("float32"))
    words = ["data=arrays", "data.path=rows.npy", f"data.cache={here}/cache"]
    assert_refused(train(*words, tiny=[]), "the data are vectors.*use network=mlp")


@pytest.mark.long
def test_an_unknown_optimized_metric_does_not_lose_the_run(train, here):
    done = train("optimized_metric=val/luck", folder="run", figures=True)
    assert done.code == 1
    assert "use one of test/active_units" in done.err and "val/loss" in done.err and "Traceback" not in done.err
    assert {"metrics.json", "model.safetensors", "figures"} <= {path.name for path in (here / "run").iterdir()}


def test_the_traceback_is_shown_on_request(train, monkeypatch):
    assert "Traceback" in train("optimizer.lr=-1", "traceback=true").err
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match=r"use optimizer.lr=1e-3"):
        train("optimizer.lr=-1")


def test_an_exception_that_is_its_own_cause_has_an_end():
    """As those of OmegaConf in a debugger."""
    error, refusal = KeyError("hiden"), Refusal("Use hidden.")
    error.__cause__ = error
    assert list(causes(error)) == [error] and refusal_in(error) is None
    refusal.__cause__, error.__cause__ = error, refusal
    assert refusal_in(error) is refusal
