"""From a configuration to a plan, which is checked before anything is built."""

import inspect
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hydra.utils import get_class
from torch import nn

import vaekit
from helpers import BINARY, PAIRS, SERIES, VECTORS, build, config, examples
from spaces_of_z import small_vae
from vaekit.capabilities import Capability, Input
from vaekit.configs import options
from vaekit.plan import compatibility
from vaekit.plan.estimate import estimate
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.spaces import Table
from vaekit.spaces.column import Column

WORDS = ("model=mlp_vae", "network.hidden=[16]", "latents.dim=3", "likelihood=bernoulli")

INCOMPLETE = Table.of([Column("children", "count", nullable=True)])


def kinds(*groups):
    """The classes of groups by name."""
    return {
        name: get_class(each["_target_"])
        for group in groups
        for name, each in options(group).items()
        if "_target_" in each
    }


def test_reading_builds_nothing_and_checks_once():
    with patch.object(nn.Linear, "__init__", side_effect=AssertionError), patch.object(compatibility, "check") as check:
        Plan.read(config(*WORDS, "penalty=[mmd]", "latents=ladder"), BINARY)
    assert check.call_count == 1


def test_mismatched_parts_are_refused_before_anything_is_built():
    with (
        patch.object(nn.Module, "__init__", side_effect=AssertionError),
        pytest.raises(Refusal, match="objective=iwae needs"),
    ):
        Plan.read(config(*WORDS, "objective=dreg", "latents=ladder"), BINARY)


def test_the_description_names_every_part_and_its_settings():
    plan = Plan.read(config(*WORDS, "prior=two_stage", "prior@prior.second.prior=mixture"), BINARY)
    lines = {line.split()[0]: line.split()[1:] for line in plan.describe().splitlines()}
    assert lines["network.encoder"] == ["vaekit.networks.mlp.Encoder", "hidden=[16]", "activation=ReLU"]
    assert lines["prior.second.prior"] == ["vaekit.priors.mixture.Mixture", "components=50"]
    assert {"posterior", "prior", "latents", "likelihood", "objective", "prior.second.latents"} <= lines.keys()


@pytest.mark.parametrize("name", kinds("prior"))
def test_a_prior_declared_as_learned_has_parameters(name):
    prior = small_vae("prior", name).latents.levels[0].prior
    assert prior.learned == bool([*prior.parameters()])


def test_inputs_of_a_part_are_constructor_arguments():
    parts = [*kinds("posterior").values(), *kinds("prior").values()]
    for kind in parts:
        assert kind.inputs <= set(inspect.signature(kind).parameters), kind
    assert set(Input) == set().union(*(kind.inputs for kind in parts))


def test_every_capability_is_read_and_what_is_required_is_given():
    source = "".join(path.read_text() for path in Path(vaekit.__file__).parent.rglob("*.py"))
    declared = "".join(re.findall(r"gives = frozenset\(\s*\{.*?\}", source, re.DOTALL))
    for each in Capability:
        assert source.count(f"Capability.{each.name}") > declared.count(f"Capability.{each.name}"), each
        assert each.sentence
    required = set().union(*(kind.requires for kind in kinds("prior", "latents").values()))
    assert required <= set().union(*(kind.gives for kind in kinds("posterior").values()))


def test_a_class_level_enumerates_all_classes():
    words = ("model=m2_vae", "condition.classes=3", "likelihood=bernoulli")
    Plan.read(config(*words), BINARY)
    with pytest.raises(Refusal, match=r"use posterior@latents\.classifier=categorical"):
        Plan.read(config(*words, "posterior@latents.classifier=fsq", "~latents.classifier.codes"), BINARY)


@pytest.mark.parametrize(("blocks", "levels"), [("[1x1]", 1), ("[4x1,1x1]", 2), ("[1x2]", 2), ("null", 3)])
def test_deep_latents_with_one_map_have_a_single_level(blocks, levels):
    words = (
        "network=pyramid",
        "network.channels=4",
        "latents=deep",
        f"latents.blocks={blocks}",
        "likelihood=bernoulli",
    )
    vae = Plan.read(config(*words), BINARY).build_vae()
    assert (len(vae.latents.levels) == 1) == (levels == 1)
    with nullcontext() if levels == 1 else pytest.raises(Refusal, match="needs single_level; use latents=single"):
        Plan.read(config(*words, "penalty=[mmd]"), BINARY).build()


def test_memory_is_that_of_weights_and_of_what_the_gradient_needs():
    words = ("model=mlp_vae", "network.hidden=[]", "likelihood=gaussian", "latents.dim=1000")
    vae, objective = build(VECTORS, *words)
    small, large = (estimate(vae, objective, nn.ModuleDict(), examples(VECTORS, n)) for n in (10, 1010))
    weights = 4 * sum(p.numel() for p in vae.parameters())
    a_row = 4 * 1000  # z of a row; of which a step keeps a few: mean, scale, noise, ...
    assert 4 * weights < small.memory < 4 * weights + 10 * 20 * a_row
    assert 3 * 1000 * a_row < large.memory - small.memory < 20 * 1000 * a_row
    assert 0 < small.seconds < 10
    assert not any(p.grad is not None and p.grad.any() for p in vae.parameters())


@pytest.mark.parametrize(
    ("space", "words", "says"),
    [
        (
            PAIRS,
            ["model=mvae", "likelihood=paired", "network=paired", "posterior=hamiltonian", "penalty=[]"],
            "posterior=gaussian",
        ),
        (INCOMPLETE, ["model=mlp_vae", "likelihood=table", "posterior=hamiltonian"], "posterior=gaussian"),
        (
            replace(SERIES, incomplete=True),
            ["model=series_vae", "likelihood=multivariate_student"],
            "likelihood=gaussian or likelihood=laplace",
        ),
    ],
    ids=["pairs", "table", "series"],
)
def test_missing_values_that_the_space_declares_are_refused_before_a_row_is_read(space, words, says):
    assert space.incomplete
    with pytest.raises(Refusal, match=f"Some values are missing.*{says}"):
        Plan.read(config(*words), space)
