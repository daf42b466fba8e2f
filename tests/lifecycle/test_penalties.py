"""A run with penalties and a critic: what it prints, logs and leaves."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch

import vaekit
from vaekit.penalties.factor import Factor

GAME = ["model=factor_vae", "network=mlp", "penalty.factor.hidden=[16]", "trainer.log_every_n_steps=4"]


def test_adversarial_losses_are_logged_and_the_critic_is_not_saved_with_the_model(train):
    done = train(*GAME, "penalty=[factor,total_correlation]", folder="run", epochs=2)
    assert done.code == 0, done.err
    assert done.err == ""
    for row in ("penalty.*factor.*weight 35", "penalty.*total_correlation.*weight 1"):
        assert re.search(row, done.out)
    with Path("run/metrics.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    for name in ("train/factor", "train/factor_critic", "train/total_correlation", "val/factor", "test/factor"):
        assert any(row[name] for row in logged), name
    state = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    assert [len(group["params"]) for group in state["optimizer_states"][0]["param_groups"]][1] == 4  # the critic's
    assert state["state_dict"]["penalties.total_correlation.aggregate.num_train"] == 1294
    assert state["global_step"] == 22  # one step per batch, whichever networks train
    vae = vaekit.load("run")
    assert not [name for name in vae.state_dict() if "critic" in name]
    metrics = json.loads(Path("run/metrics.json").read_text())
    parts = -metrics["test/elbo"] + 35 * metrics["test/factor"] + metrics["test/total_correlation"]
    assert metrics["test/loss"] == pytest.approx(parts, rel=1e-5)


def test_validation_uses_the_final_weight(train):
    words = ["penalty=mmd", "schedule@penalty.mmd.weight=linear", "penalty.mmd.weight.value=1000"]
    assert train(*words, folder="run").code == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["val/loss"] == pytest.approx(-metrics["val/elbo"] + 1000 * metrics["val/mmd"], rel=1e-4)


@pytest.mark.long
def test_resuming_with_another_penalty_is_refused(train):
    assert train(*GAME, folder="outputs/run").code == 0
    done = train("ckpt_path=last", epochs=2)
    assert done.code == 1
    assert "another penalty" in done.err.replace("latents and ", "") and "Traceback" not in done.err


def test_a_critic_that_is_not_finite_stops_the_run_and_is_named(train, monkeypatch):
    monkeypatch.setattr(
        Factor, "critic_loss", lambda self, terms, vae: next(self.critic.parameters()).sum() * torch.inf
    )
    done = train(*GAME, folder="run")
    assert done.code == 1
    assert "penalty factor_critic went bad" in done.err and "Traceback" not in done.err
