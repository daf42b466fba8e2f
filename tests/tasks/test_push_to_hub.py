"""A run on the Hugging Face Hub, which here is a folder."""

import shutil
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml

import vaekit
from vaekit.refusal import Refusal
from vaekit.tasks.push_to_hub import push_to_hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    def upload_folder(repo_id, folder_path):
        shutil.copytree(folder_path, tmp_path / "hub" / repo_id)

    def snapshot_download(name, revision, allow_patterns):
        if revision not in (None, "main"):
            raise OSError(f"404: no revision {revision}")
        return str(tmp_path / "hub" / name)

    package = SimpleNamespace(
        create_repo=lambda name, exist_ok, private: None,
        upload_folder=upload_folder,
        snapshot_download=snapshot_download,
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", package)
    return tmp_path / "hub"


@pytest.mark.long
def test_run_survives_the_hub_bit_for_bit(digits, hub):
    address = push_to_hub(digits, "me/digits")
    assert address == "hf://me/digits"
    loaded = vaekit.load(address)
    weights = digits.vae.state_dict()
    assert loaded.state_dict().keys() == weights.keys()
    assert all(torch.equal(loaded.state_dict()[name], weights[name].cpu()) for name in weights)
    run = vaekit.open("hf://me/digits@main")
    assert run.metrics == vaekit.open(digits.run).metrics
    assert run.figures.keys() == vaekit.open(digits.run).figures.keys() != set()


def test_from_pretrained_takes_names_of_the_hub_and_folders(digits, hub):
    push_to_hub(digits, "me/digits")
    weights = digits.vae.state_dict()
    for name, revision in (("me/digits", None), ("me/digits", "main"), ("hf://me/digits", None), (digits.run, None)):
        loaded = vaekit.from_pretrained(name, revision=revision).state_dict()
        assert all(torch.equal(loaded[each], weights[each].cpu()) for each in weights)
    with pytest.raises(Refusal, match="Cannot download hf://me/digits@old"):
        vaekit.from_pretrained("me/digits", revision="old")
    with pytest.raises(Refusal, match="has no revision"):
        vaekit.from_pretrained(digits.run, revision="main")


def test_card_has_metrics_and_files_have_no_paths(digits, hub):
    push_to_hub(digits, "me/digits")
    folder = hub / "me" / "digits"
    card = (folder / "README.md").read_text()
    about = yaml.safe_load(card.split("---")[1])
    assert about["library_name"] == "vaekit"
    assert {each["type"] for each in about["model-index"][0]["results"][0]["metrics"]} >= {"nll"}
    assert 'vaekit.load("hf://me/digits")' in card
    assert "onnx" not in card
    assert str(digits.run.parent) not in (folder / "config.yaml").read_text()
    assert "](figures/samples.png)" in card
    assert (folder / "figures" / "samples.png").is_file()
    assert "run_dir" not in yaml.safe_load((folder / "config.yaml").read_text())


def test_invalid_repositories_and_revisions_are_refused(digits, hub):
    for name in (None, "digits", "a/b/c"):
        with pytest.raises(Refusal, match=r"task\.repository=me/digits"):
            push_to_hub(digits, name)
    with pytest.raises(Refusal, match="Cannot download hf://me/digits@old"):
        vaekit.load("hf://me/digits@old")
