"""What `--help`, `--list` and `--info` say is what the files of conf and the parts themselves say."""

import inspect
import sys

import pytest
import torch
import yaml
from hydra.utils import get_object

import vaekit
from vaekit import catalogue, commands
from vaekit.catalogue import Choice
from vaekit.configs import CONF

GROUPS = catalogue.groups()
EVERY = [choice for group in GROUPS for choice in catalogue.choices(group)]


def typed(choice):
    return f"{choice.group}={choice.name}"


def test_groups_are_the_folders_of_conf():
    folders = {path.relative_to(CONF).as_posix() for path in CONF.rglob("*") if path.is_dir()}
    assert set(GROUPS) == folders - {"local"}
    assert len(EVERY) == sum(1 for group in GROUPS for _ in (CONF / group).glob("[!_]*.yaml"))


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_has_a_sentence_of_its_own(group):
    sentences = [choice.sentence for choice in catalogue.choices(group)]
    assert all(sentences)
    assert len(set(sentences)) == len(sentences)


def test_every_group_has_a_sentence_of_its_own():
    sentences = catalogue.group_sentences()
    assert list(sentences) == GROUPS and all(sentences.values())
    assert len(set(sentences.values())) == len(GROUPS)


@pytest.mark.parametrize("choice", EVERY, ids=typed)
def test_defaults_are_those_of_the_file(choice):
    package = choice._package
    for key, default, _ in (option for option in choice.options if option.key.startswith(package)):
        value = yaml.safe_load(choice.text) or {}
        for name in key.removeprefix(package).strip(".").split("."):
            value = value.get(name, ...) if isinstance(value, dict) else ...
        if value is not ... and not isinstance(value, dict):  # else of another file, or a choice of another group
            assert yaml.safe_load(default) == value, key


@pytest.mark.parametrize("choice", [each for each in EVERY if each.declared], ids=typed)
def test_the_catalogue_lists_what_parts_declare(choice):
    (target, *_) = choice._targets or choice.parents[0]._targets
    part = get_object(target)
    for name, words in choice.declared.items():
        value = getattr(part, name)
        if isinstance(value, type):
            assert words == value.__name__
        elif isinstance(value, frozenset) and all(isinstance(each, str) for each in value):
            assert sorted(words.split(", ")) == sorted(value or ["none"]), name


@pytest.mark.parametrize("choice", [each for each in EVERY if len(each._targets) == 1 and each.sources], ids=typed)
def test_a_docstring_is_that_of_the_part(choice):
    doc = inspect.getdoc(get_object(choice._targets[0]))
    head, _, after = doc.partition("References:\n")
    assert choice.docstring.startswith(head.strip())
    assert "References:" not in choice.docstring
    for paper in choice.papers:
        assert paper.text in " ".join(after.split())


def test_options_come_from_the_file_that_a_choice_starts_from_and_from_its_own():
    iwae, dreg = ({option.key: option for option in Choice("objective", name).options} for name in ("iwae", "dreg"))
    assert iwae["objective.gradient"].default == "standard"
    assert dreg["objective.gradient"].default == "dreg"
    assert dreg["objective.num_samples"] == iwae["objective.num_samples"]


def test_options_are_spelled_as_they_are_typed():
    keys = {option.key: option for option in Choice("penalty", "mmd").options}
    assert keys["schedule@penalty.mmd.weight"].default == "constant"
    assert keys["penalty.mmd.kernel"] == ("penalty.mmd.kernel", "imq", "or rbf")
    assert {option.key for option in Choice("model", "vamp_vae").options} >= {"prior", "network", "latents.dim"}
    table = {option.key for option in Choice("data", "table").options}
    assert {"data.path", "data.batch_size", "likelihood"} <= table
    assert not {key for key in table if key.startswith("data.module")}


def test_papers_of_a_setting_name_it():
    settings = [paper.setting for paper in Choice("objective", "iwae").papers]
    assert settings == ["", "gradient=stl", "gradient=dreg"]


@pytest.fixture
def say(monkeypatch, capsys):
    def call(*words, by=commands.train):
        monkeypatch.setattr(sys, "argv", [f"{by.__name__}.py", *words])
        by()
        return capsys.readouterr().out

    return call


def test_a_list_has_every_choice_and_its_sentence(say):
    out = " ".join(say("--list", "prior").split())
    assert all(f"{each.name} {each.sentence[:30]}" in out for each in catalogue.choices("prior"))
    assert out == " ".join(say("--list=prior", by=commands.apply).split())


def test_without_a_group_lists_are_of_groups_and_of_tasks(say):
    groups = [line.split() for line in say("--list").splitlines()]
    assert ["prior", "p(z)"] in groups
    assert {line[0] for line in groups} >= set(GROUPS)
    assert "  impute " in say("--list", by=commands.apply)


def test_info_has_options_requirements_and_papers(say):
    out = " ".join(say("--info", "prior=vamp").split())
    assert "prior.components=500 pseudo-inputs" in out
    assert "inputs data_space (the space of x), infer (q(z | x) as a function of x)" in out
    assert "requires density (log q(z | x) of any z)" in out
    assert "VAE with a VampPrior" in out


def test_help_lists_every_choice_including_user_defined_ones(say, tmp_path):
    (tmp_path / "prior").mkdir()
    (tmp_path / "prior" / "mine.yaml").write_text("# the one of the test\n_target_: mine.Prior\nwidth: 3  # of it\n")
    out = say("--config-dir", str(tmp_path), "--help")
    assert all(f"  {each.name}" in out for each in EVERY if each.group != "task")
    assert "the one of the test" in out
    assert "prior.width=3  of it" in say("--config-dir", str(tmp_path), "--info", "prior=mine")


@pytest.mark.parametrize("by", [commands.train, commands.apply])
def test_versions_are_those_of_the_installed_packages(say, by):
    versions = dict(line.split() for line in say("--version", by=by).splitlines())
    assert (versions["vaekit"], versions["torch"]) == (vaekit.__version__, torch.__version__)


def test_flags_may_stand_between_overrides(say):
    assert say("seed=1", "--cfg", "job", "optimizer.lr=0.5", "--package", "optimizer.lr", "seed=2") == "0.5\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--list", "priors"],
            r"^--list priors is unknown. Did you mean --list prior\? Available: callbacks, .*writer\.$",
        ),
        (
            ["--info", "prior=vmap"],
            r"^--info prior=vmap is unknown. Did you mean --info prior=vamp\? Available: .*vamp, ",
        ),
        (["--info", "pior=vamp"], r"Did you mean --info prior=vamp\?"),
        (["--info", "vamp"], r"^--info vamp needs GROUP=CHOICE. Did you mean --info prior=vamp\? "),
        (["--info", "gaussian"], r"Did you mean --info likelihood=gaussian or .*--info prior=gaussian\? "),
        (["--info", "prior"], r"^--info prior needs GROUP=CHOICE. Did you mean --info prior=\w+\? "),
        (["--info"], r"^--info needs GROUP=CHOICE. --list GROUP "),
        (["--dryrun"], r"^--dryrun is not a flag. Did you mean --dry-run\? "),
        (["--find_lr", "seed=1"], r"^--find_lr is not a flag. Did you mean --find-lr\? "),
        (["seed=1", "--model=mlp_vae"], r"^--model=mlp_vae is not a flag. Did you mean model=mlp_vae\? "),
        (["-x"], r"^-x is not a flag. Settings are KEY=VALUE"),
        (["--cfg", "jab"], r"^Argument --cfg/-c: invalid choice: 'jab' .*; --help lists the flags.$"),
    ],
)
def test_unknown_choices_are_refused(say, words, sentence):
    with pytest.raises(SystemExit, match=sentence):
        say(*words)
