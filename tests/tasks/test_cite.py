"""BibTeX of exactly the papers that a run's parts are from."""

import inspect
import re
import shutil
import sys

import pytest
import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf

from helpers import config
from vaekit.catalogue import references
from vaekit.configs import options
from vaekit.tasks.cite import PAPER, PARTS, bibtex, citations, cite, named, papers
from vaekit.tasks.shared.context import open_run

CLASSES = sorted(
    {
        node["_target_"]
        for group in (*PARTS, "schedule", "writer")
        for option in options(group).values()
        for node in named(option)
        if node["_target_"].startswith("vaekit.")
    }
)
ENTRY = re.compile(r"@(inproceedings|article|misc)\{[a-z]+\d{4}[a-z0-9]*,\n((?:  [a-z]+ = \{.+\},\n)+)\}\n")


def parse(text):
    """The kind and fields of each BibTeX entry. The text must hold only entries, with matching braces."""
    assert ENTRY.sub("", text).strip() == ""
    keys = re.findall(r"^@\w+\{(.+),$", text, re.MULTILINE)
    assert len(set(keys)) == len(keys)
    entries = []
    for kind, body in ENTRY.findall(text):
        fields = dict(re.findall(r"  (\w+) = \{(.+)\},\n", body))
        for value in fields.values():
            depths = [value[:i].count("{") - value[:i].count("}") for i in range(len(value) + 1)]
            assert min(depths) == depths[-1] == 0
        entries.append({"kind": kind, **fields})
    return entries


def cited(*overrides):
    """The titles that a run composed with `overrides` cites."""
    whole = OmegaConf.to_container(config(*overrides), resolve=False)
    nodes = [node for part in PARTS for node in named(whole[part])]
    return {paper["title"].split(":")[0] for node in nodes for paper in papers(get_class(node["_target_"]), node)}


@pytest.mark.parametrize("target", CLASSES)
def test_every_part_cites_in_the_one_form_or_says_none(target):
    part = get_class(target)
    docs = f"{inspect.getdoc(part)}\n{sys.modules[part.__module__].__doc__}"
    assert references(docs), "give its docstring a section `References`, of papers or `none`"
    parameters = inspect.signature(part).parameters
    for setting, _, text in citations(part):
        assert not setting or setting in parameters
        paper = PAPER.fullmatch(text)
        assert paper, f"not AUTHORS. TITLE. In VENUE YEAR. URL: {text}"
        (entry,) = parse(bibtex(**paper.groupdict()))
        assert entry["year"] == paper["year"]
        assert ("eprint" in entry) == ("arxiv.org" in entry["url"])


def test_one_paper_is_written_in_one_way():
    """Two parts from one paper give the same entry, and no two papers share a key."""
    lines = [text for target in CLASSES for _, _, text in citations(get_class(target))]
    entries = {bibtex(**PAPER.fullmatch(text).groupdict()) for text in lines}
    parsed = parse("\n".join(entries))
    assert len({entry["url"] for entry in parsed}) == len({entry["title"] for entry in parsed}) == len(entries) > 30


@pytest.mark.parametrize(
    ("authors", "venue", "url", "expected"),
    [
        (
            "Ada Lovelace, Jörg von Öl",
            "In ICLR 2014",
            "https://arxiv.org/abs/1312.6114",
            {
                "kind": "inproceedings",
                "author": "Ada Lovelace and Jörg von Öl",
                "booktitle": "ICLR",
                "eprint": "1312.6114",
                "archiveprefix": "arXiv",
            },
        ),
        (
            "Ada Lovelace et al.",
            "Some Journal 2014",
            "https://example.org/a",
            {"kind": "article", "author": "Ada Lovelace and others", "journal": "Some Journal"},
        ),
        (
            "Ada Lovelace",
            "arXiv 2014",
            "https://arxiv.org/abs/1312.6114",
            {"kind": "misc", "author": "Ada Lovelace", "eprint": "1312.6114", "archiveprefix": "arXiv"},
        ),
    ],
)
def test_entries(authors, venue, url, expected):
    paper = PAPER.fullmatch(f"{authors.rstrip('.')}. Notes: on e. g. engines. {venue}. {url}")
    (entry,) = parse(bibtex(**paper.groupdict()))
    assert entry == {"title": "{Notes: on e. g. engines}", "year": "2014", "url": url, **expected}


@pytest.mark.parametrize(
    ("overrides", "cited_titles", "absent_titles"),
    [
        ((), {"Auto-Encoding Variational Bayes"}, {"beta-VAE", "VAE with a VampPrior"}),
        (("objective.beta.value=4",), {"beta-VAE"}, set()),
        (("objective.beta=4",), {"beta-VAE"}, set()),
        (("objective.beta=1",), set(), {"beta-VAE"}),
        (("schedule@objective.beta=linear",), {"Generating Sentences from a Continuous Space"}, {"beta-VAE"}),
        (("objective=dreg",), {"Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives"}, {"beta-VAE"}),
        (("objective=iwae",), {"Importance Weighted Autoencoders"}, {"Sticking the Landing"}),
        (("posterior=flow",), {"Masked Autoregressive Flow for Density Estimation"}, {"Neural Spline Flows"}),
        (("prior=flow", "prior.flow._target_=zuko.flows.NSF"), {"Neural Spline Flows"}, {"NICE"}),
        (("prior=two_stage",), {"Diagnosing and Enhancing VAE Models"}, {"VAE with a VampPrior"}),
        (
            ("prior=two_stage", "prior@prior.second.prior=vamp"),
            {"Diagnosing and Enhancing VAE Models", "VAE with a VampPrior"},
            set(),
        ),
        (("penalty=[mmd]",), {"Wasserstein Auto-Encoders"}, set()),
    ],
)
def test_a_run_cites_what_it_is_made_of(overrides, cited_titles, absent_titles):
    titles = cited(*overrides)
    assert cited_titles <= titles
    assert not (absent_titles & titles)


def test_the_file(digits_run, tmp_path, capsys):
    text = cite(open_run(digits_run, tmp_path, device="cpu"))
    assert (tmp_path / "cite.bib").read_text(encoding="utf-8") == text
    assert text.strip() in capsys.readouterr().out
    titles = [entry["title"] for entry in parse(text)]
    assert len(titles) == 2  # in posterior, prior and objective the same paper
    assert "{Auto-Encoding Variational Bayes}" in titles
    assert titles[1].startswith("{PixelCNN++")


def test_a_penalty_is_cited_though_no_task_needs_it(digits_run, tmp_path):
    run = shutil.copytree(digits_run, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["penalty"] = {"mmd": {"_target_": "vaekit.penalties.mmd.MMD"}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert "Wasserstein" in cite(open_run(run, tmp_path, device="cpu"))


def test_unknown_targets_are_named_and_not_run(digits_run, tmp_path, capsys):
    run = shutil.copytree(digits_run, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["penalty"] = {"own": {"_target_": "os.system", "command": "false"}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    text = cite(open_run(run, tmp_path, device="cpu"))
    assert "os.system" not in text
    assert "os.system is not a part" in capsys.readouterr().out
