"""A run reports training problems, and the suggested overrides compose."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins import Precision

from helpers import BINARY, SMALL, build, config, examples
from vaekit.callbacks.diagnosis import Diagnosis, ignored_condition, problems_in
from vaekit.objectives.iwae import IWAE


def typed(sentence):
    return sentence.rpartition("Try ")[2].removesuffix(".").strip("'")


@pytest.mark.long
def test_posterior_collapse_is_reported_once_detected_and_at_the_end(train):
    done = train("objective.beta=1000", "optimizer.lr=0.1", epochs=3)
    said = [line for line in done.out.splitlines() if "has collapsed" in line]
    assert len(said) == 2 and said[0].startswith("val/rate is 0.0") and said[0].endswith("Try objective=warm_up.")
    healthy = train("objective.beta=0.1", epochs=3, folder="other")
    assert "has collapsed" not in healthy.out


@pytest.mark.parametrize("overrides", [(), ("objective=warm_up",), ("objective=iwae",), ("objective=ciwae",)])
def test_the_suggested_remedy_for_a_collapse_composes_and_is_new(overrides):
    vae, objective = build(BINARY, "model=mlp_vae", *SMALL, *overrides)
    ((_, sentence),) = problems_in({"val/rate": 0.01}, vae, objective)
    assert typed(sentence) not in overrides
    config(*(each for each in overrides if not typed(sentence).startswith("objective=")), typed(sentence))
    assert not dict(problems_in({"val/rate": 5.0}, vae, objective))


def test_codes_that_are_not_used_are_named():
    words = ("model=vq_vae", "network.channels=[4]", "posterior.codes=512")
    vae, objective = build(BINARY, *words)
    ((_, sentence),) = problems_in({"val/code_usage": 0.02, "val/perplexity": 5.3}, vae, objective)
    assert "Only 2.0% of the 512 codes are used (perplexity 5.3)" in sentence
    assert config(*words, typed(sentence)).posterior.codes == 16


@pytest.mark.parametrize("objective", [None, IWAE(2)])
def test_an_ignored_condition_is_reported(objective):
    vae, elbo = build(BINARY, "model=mlp_vae", *SMALL, "condition=label", "condition.classes=10")
    batch = replace(examples(BINARY, 64), label=torch.arange(64) % 10)
    with torch.no_grad():  # the last ten columns of the decoder's first layer read the label
        first = next(layer for layer in vae.likelihood.network.modules() if isinstance(layer, torch.nn.Linear))
        first.weight[:, -10:] = 0
    (sentence,) = ignored_condition(vae.eval(), objective or elbo, batch).values()
    assert "ignores its condition: log p(x, z | condition) is only 0.000 nats higher" in sentence
    words = ("model=mlp_vae", *SMALL, "condition=label", *(["objective=iwae"] if objective else []))
    config(*words, typed(sentence))
    with torch.no_grad():
        first.weight[:, -10:] = 3 * torch.randn(first.weight.shape[0], 10, generator=torch.manual_seed(0))
    found = ignored_condition(vae, objective or elbo, replace(batch, x=likely(vae, batch)))
    assert found == {}


def likely(vae, batch):
    """Images that the decoder draws from their labels."""
    with torch.no_grad():
        zs = [step.z[0] for step in vae.infer(vae.encoder(batch.x), condition=batch.label).steps]
        return vae.decode(zs, batch.label).round()


def test_the_sanity_check_is_not_reported():
    Diagnosis().on_validation_end(SimpleNamespace(sanity_checking=True), None)


@pytest.mark.parametrize(("draws", "minutes", "said"), [(100, 0, True), (100, 60, False), (1, 0, False)])
def test_a_long_test_is_announced(monkeypatch, capsys, draws, minutes, said):
    monkeypatch.setattr("vaekit.callbacks.diagnosis.MINUTES", minutes)
    vae, *_ = build(BINARY, "model=mlp_vae", *SMALL)
    module, trainer = SimpleNamespace(vae=vae, nll_samples=draws), SimpleNamespace(num_test_batches=[3])
    trainer.is_global_zero, trainer.precision_plugin = True, Precision()
    with torch.no_grad():
        Diagnosis().on_test_batch_start(trainer, module, examples(BINARY, 4), 0)
    assert ("evaluation.num_samples=100 draws of z for each row" in capsys.readouterr().out) == said
