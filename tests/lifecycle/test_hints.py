"""Overrides suggested by refusals work, and name the right settings."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from torch import nn
from torch.distributions import Independent, Normal

from vaekit.commands import refuse_numbers
from vaekit.configs import CONF
from vaekit.data.table import Table
from vaekit.overrides import typed
from vaekit.plan.plan import Plan
from vaekit.posteriors.posterior import Posterior
from vaekit.priors.prior import Prior
from vaekit.priors.standard_normal import StandardNormal
from vaekit.refusal import Refusal
from vaekit.spaces import Image, Real

NAMES = ["age", "Loan Amount (USD)", "Größe", "id, internal", "it's", "a:b", "null", "12", "true", "1e5", " lead"]
NAMES += ["x\\", 'say "so"', "a=b", "[x]", "{a}", "~", "$HOME", "`ls`", "!x", "*", "日本", "a;b", "${x}", "\\${x}"]
NAMES += ["%", "#", "a\\'b", "choice(1)", "a b", "-", "nan", "é,'\""]


def read(word):
    """What a shell and Hydra make of a word that is typed."""
    (argument,) = shlex.split(word)
    (override,) = OverridesParser.create().parse_overrides([argument])
    return OmegaConf.to_container(OmegaConf.create({override.key_or_group: override.value()}), resolve=True)


@pytest.mark.parametrize("name", NAMES)
def test_any_text_can_be_typed(name):
    assert read(typed("data.label", name)) == {"data.label": name}
    assert read(typed("data.columns", [name, "b", name])) == {"data.columns": [name, "b", name]}


def test_other_values_can_be_typed():
    for value in (None, True, 3, -2.5, [1, 2], {"a": "b", "c d": [1]}, []):
        assert read(typed("x", value)) == {"x": value}
    assert read(typed("x", Path("a b", "0_latents.dim=2"))) == {"x": "a b/0_latents.dim=2"}


@pytest.mark.parametrize("name", [name for name in NAMES if name.strip() == name])
def test_the_hint_for_a_column_is_of_that_column(tmp_path, name):
    shared = {"path": tmp_path / "rows.csv", "columns": [name, "other"]}
    shared["path"].write_text("".join(f",{i % 7}\n" for i in range(50)))
    with pytest.raises(Refusal) as refused:
        Table(**shared).space  # noqa: B018
    types = read(re.search(r"use (.*)\.$", str(refused.value), re.DOTALL)[1])["data.types"]
    assert [column.name for column in Table(**shared, types=types).space.columns] == ["other"]


def composed(*words):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", ["model=mlp_vae", "network.hidden=[8]", *words])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prior=mixture", "prior.components=0"], "prior.components=0 must be at least 1; use prior.components=50."),
        (
            ["prior=two_stage", "prior@prior.second.prior=mixture", "prior.second.prior.components=0"],
            "prior.second.prior.components=0 must be at least 1; use prior.second.prior.components=50.",
        ),
        *(
            (["prior=two_stage", f"prior.second.{name}={value}"], f"{value} must be at least 1; use {hint}.")
            for name, value, hint in [
                ("latents.dim", "0", "prior.second.latents.dim=32"),
                ("latents.dim", "-2", "prior.second.latents.dim=32"),
                ("network.hidden", "[8,0]", "'prior.second.network.hidden=[512,256]'"),
            ]
        ),
        (
            ["prior=two_stage", "network@prior.second.network=gated_mlp", "prior.second.network.width=0"],
            "prior.second.network.width=0 must be at least 1; use prior.second.network.width=512.",
        ),
        (
            ["prior=two_stage", "prior@prior.second.prior=flow", "prior.second.prior.flow.hidden_features=[-2]"],
            "Change prior.second.latents.* or leave it out",
        ),
        (["prior=two_stage", "prior.second.network.hidden=3"], "Got prior.second.network.hidden=3"),
        (
            ["prior=two_stage", "prior@prior.second.prior=code_uniform"],
            "posterior@prior.second.posterior=gaussian is a distribution on Real, "
            "prior@prior.second.prior=code_uniform on Codes; "
            "use prior@prior.second.prior=",
        ),
        (
            ["prior=two_stage", "likelihood@prior.second.likelihood=bernoulli"],
            "use likelihood@prior.second.likelihood=gaussian",
        ),
        (
            ["prior=two_stage", "latents@prior.second.latents=labelled"],
            "prior.second.latents.classifier.codes cannot be read: Error trying to access condition.classes",
        ),
        (
            ["prior=two_stage", "prior@prior.second.prior=two_stage", "prior.second.prior.num_samples=0"],
            "prior.second.prior.num_samples=0 must be",
        ),
        (["posterior=planar", "posterior.length=0"], "posterior.length=0 must be at least 1; use posterior.length=5."),
        (["latents=labelled"], "latents.classifier.codes cannot be read: Error trying to access condition.classes"),
        (["network.activation=Rainbow"], "network.activation=Rainbow is not an activation"),
        (["schedule@objective.beta=linear", "objective.beta.epochs=0"], "objective.beta.epochs=0 has no slope"),
        (
            ["penalty=[mmd]", "penalty.mmd.kernel=box"],
            "penalty.mmd.kernel=box is unknown; use penalty.mmd.kernel=imq or rbf.",
        ),
        (
            ["posterior=gumbel", "prior=code_uniform", "posterior.temperature.value=0"],
            "use posterior.temperature.value=1.",
        ),
    ],
)
def test_refusals_say_where_the_setting_is(words, says):
    with pytest.raises(Refusal) as refused:
        Plan.read(composed(*words), Image((1, 8, 8))).build()
    assert says in str(refused.value)


class Incomplete(Prior):
    def __init__(self, space):
        super().__init__()
        self.space = space

    def forward(self, context=None):
        zeros = torch.zeros(self.space.shape)
        return Independent(Normal(zeros, zeros + 1), 1)


class Spaceless(Posterior):
    latent, gives = Real, frozenset({"rsample", "log_prob"})

    def __init__(self, context_shape, space):
        super().__init__()


class Stranger(nn.Module):
    latent = Real


@pytest.fixture
def mine(monkeypatch):
    """A module of the user's."""
    monkeypatch.setitem(sys.modules, "mine", module := type(sys)("mine"))
    for part in (Incomplete, Spaceless, Stranger):
        monkeypatch.setattr(part, "__module__", "mine")
        setattr(module, part.__name__, part)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["prior._target_=mine.Incomplete"],
            "prior: mine.Incomplete lacks latent, which vaekit.priors.prior.Prior declares as "
            "`latent: ClassVar[type[Space]]`. Write `latent = ...` in the class.",
        ),
        (
            ["posterior._target_=mine.Spaceless"],
            "posterior: mine.Spaceless lacks space, which vaekit.posteriors.posterior.Posterior declares as "
            "`space: Any`. Write `self.space = ...` in __init__.",
        ),
        (
            ["prior=two_stage", "prior.second.posterior._target_=mine.Stranger"],
            "prior.second.posterior: mine.Stranger is not a vaekit.posteriors.posterior.Posterior. Write "
            "`class Stranger(Posterior):` and import Posterior from vaekit.posteriors.posterior.",
        ),
    ],
)
def test_a_user_defined_part_is_refused_with_the_missing_declaration(mine, words, says):
    with pytest.raises(Refusal) as refused:
        Plan.read(composed(*words), Image((1, 8, 8))).build_vae()
    assert says in str(refused.value)


def test_a_refusal_in_python_names_the_argument_only():
    from vaekit.priors.mixture import Mixture

    with pytest.raises(Refusal, match=r"^components=0 must be at least 1; use components=50\.$"):
        Mixture(StandardNormal(Real((2,))).space, components=0)


@pytest.mark.parametrize("word", ["model=3", "+model=3", "++model=null", "prior@prior.second.prior=3"])
def test_a_number_as_a_choice_is_refused_with_the_available_choices(word):
    with pytest.raises(Refusal, match=re.escape(f"Got {word}, expected one of ")):
        refuse_numbers([word])
