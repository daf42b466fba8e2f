"""Uses of a VAE of sentences."""

import csv
import json
import math

import numpy as np
import pytest
import torch

from vaekit.media.text import Text
from vaekit.refusal import Refusal
from vaekit.spaces import sentence_mask
from vaekit.tasks.interpolate import interpolate
from vaekit.tasks.reconstruct import reconstruct
from vaekit.tasks.sample import sample
from vaekit.tasks.score import score
from vaekit.tasks.shared.context import open_run
from vaekit.tasks.synthesize import synthesize

from .conftest import train

LINES = ["A man, a hat.", "Two men in hats?", "A man runs!", "Two hats", "A man in a hat"] * 8
WRITER = ("likelihood.writer.width=4", "likelihood.writer.embedding=4")
SMALL = ("model=text_vae", "network.width=4", "network.embedding=4", "likelihood.context=4", *WRITER)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "lines.txt").write_text("\n".join(LINES))
    data = ("data=text", f"data.path={folder}/lines.txt", "data.min_count=1", "evaluation.num_samples=3")
    return train(folder / "run", *data, "trainer.max_epochs=1", small=SMALL)


@pytest.fixture
def text(run, tmp_path):
    return open_run(run, tmp_path, device="cpu")


def lines(context, name):
    return (context.out / f"{name}.txt").read_text().splitlines()


@pytest.mark.long
def test_a_run_writes_sentences_and_perplexity(run):
    metrics = json.loads((run / "metrics.json").read_text())
    context = open_run(run, run, device="cpu")
    assert isinstance(context.medium, Text)
    tokens = sentence_mask(context.examples(slice(None))).sum() / len(context.test.indices)
    assert metrics["test/token_perplexity"] == pytest.approx(math.exp(metrics["test/nll"] / tokens), rel=1e-5)
    assert len((run / "figures" / "samples.txt").read_text().splitlines()) == 64
    pairs = (run / "figures" / "reconstructions.txt").read_text().splitlines()
    assert set(pairs[::2]) <= set(LINES)


@pytest.mark.parametrize("options", [{}, {"draw": True}, {"top_p": 0.5}, {"x_temperature": 0.2}, {"beam": 3}], ids=str)
def test_sentences_are_sampled_with_each_option(text, options):
    torch.manual_seed(0)
    x = sample(text, n=5, **options)
    text.vae.space.check(x)
    assert lines(text, "samples") == text.vae.space.decode(x)
    assert torch.equal(torch.from_numpy(np.load(text.out / "samples.npz")["x"]), x)
    torch.manual_seed(0)
    px = text.vae.likelihood(text.vae.generate(5).state).base_dist
    if options in ({}, {"beam": 3}):
        assert torch.equal(x, px.beam(options.get("beam", 1)))


def test_narrow_draws_are_likely_ones(text):
    def per_token(**options):
        torch.manual_seed(0)
        x = sample(text, n=200, **options)
        return (text.vae.log_likelihood(x, 1) / sentence_mask(x).sum(1)).mean()

    wide = per_token(draw=True)
    assert per_token(top_p=0.3) > wide and per_token(x_temperature=0.3) > wide


@pytest.mark.parametrize("wrong", [{"top_p": 0.0}, {"top_p": 1.5}, {"beam": 0}, {"x_temperature": 0.0}], ids=str)
def test_invalid_settings_are_refused(text, wrong):
    with pytest.raises(Refusal, match=f"task.{next(iter(wrong))}="):
        sample(text, n=2, **wrong)


@pytest.mark.long
def test_other_data_have_no_tokens_to_choose(vectors):
    for wrong in ({"top_p": 0.9}, {"beam": 2}):
        with pytest.raises(Refusal, match=r"task.top_p=1 task.beam=1"):
            sample(vectors, n=2, **wrong)
    torch.manual_seed(0)
    assert sample(vectors, n=50, x_temperature=0.01).std() < sample(vectors, n=50, draw=True).std()


def test_sentences_of_files_are_scored_and_joined(text, tmp_path):
    for name, content in {"a": "A man in a hat\n", "b": "Two hats\n", "both": "A man in a hat\nTwo hats\n"}.items():
        (tmp_path / f"{name}.txt").write_text(content)
    x = interpolate(text, a=tmp_path / "a.txt", b=tmp_path / "b.txt", steps=4)
    written = lines(text, "interpolations")
    assert written[0] == "A man in a hat" and written[-1] == "Two hats"
    assert written[1:-1] == text.vae.space.decode(x[0])
    scores = score(text, input=tmp_path / "both.txt", num_samples=3)
    with (text.out / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["1", "2"]
    for row, log_px, tokens in zip(rows, scores.tolist(), (6, 3), strict=True):
        assert float(row["token_perplexity"]) == pytest.approx(math.exp(-log_px / tokens), rel=1e-4)


def test_sentences_are_reconstructed_and_made(text):
    reconstruct(text, n=3)
    assert lines(text, "reconstructions")[::2] == text.vae.space.decode(text.examples(text.sample(3)))
    synthesize(text, n=6, draw=True)
    assert len(lines(text, "synthetic")) == 6
