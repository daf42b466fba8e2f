"""Text: from lines to token numbers and back, and what is refused."""

import json
import logging
import os
import random
import re
from pathlib import Path

import pytest
import torch

from vaekit import run_files, runs
from vaekit.data.module import DataModule
from vaekit.data.text import Text, learn, read
from vaekit.refusal import Refusal
from vaekit.spaces import END, PAD, UNKNOWN, sentence_mask
from vaekit.spaces import Text as Space

LINES = ['A man in a "red" hat.', "Two men, one woman's dog", "a  man — naïve?", "costs ${HOME} <eos> 5<pad>"]


def save(folder, lines=LINES, name="lines.txt", ending="\n"):
    path = folder / name
    path.write_bytes("".join(f"{line}{ending}" for line in lines).encode())
    return path


@pytest.mark.parametrize("unit", ["word", "bpe", "char"])
def test_sentences_come_back_whole(tmp_path, unit):
    source = Text(save(tmp_path), unit=unit, min_count=1)
    x = torch.from_numpy(source.load("train").x)
    source.space.check(x)
    assert source.space.decode(x) == LINES
    assert (x != UNKNOWN).all()
    lengths = sentence_mask(x).sum(1)
    assert source.space.shape == (lengths.max(),)
    assert all(row[n - 1] == END and (row[n:] == PAD).all() for row, n in zip(x, lengths, strict=True))


@pytest.mark.parametrize("unit", ["word", "bpe", "char"])
def test_the_space_comes_back_from_the_run_s_configuration(tmp_path, unit):
    space = Text(save(tmp_path), unit=unit, min_count=1).space
    (tmp_path / "config.yaml").write_text(run_files.describe({}, space))
    (tmp_path / "model.safetensors").touch()
    assert "${" not in (tmp_path / "config.yaml").read_text()
    assert runs.read_space(runs.read_config(tmp_path)) == space
    assert Text(tmp_path / "lines.txt", unit=unit, min_count=1).space == space


def test_byte_order_marks_are_not_part_of_sentences(tmp_path):
    path = save(tmp_path, ["\ufeffA man", " runs\t"], ending="\r\n")
    assert read(path) == ["A man", "runs"]
    path.write_text("A man\nruns")  # no end of line behind the last
    assert read(path) == ["A man", "runs"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_lines_of_other_systems_are_lines(tmp_path, encoding, end):
    path = tmp_path / "lines.txt"
    path.write_bytes("".join(f"{line}{end}" for line in LINES).encode(encoding))
    assert read(path) == LINES


def test_the_vocabulary_is_limited_by_the_text(tmp_path):
    source = Text(save(tmp_path), unit="bpe", vocabulary=10**9)
    assert source.space.vocabulary < 400 and source.space.decode(torch.from_numpy(source.load("train").x)) == LINES


def test_rare_words_become_unknown_with_a_log_message(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = Text(save(tmp_path, ["a man", "a man", "a dog", "<unk> man"]), min_count=2)
    x = torch.from_numpy(source.load("train").x)
    assert source.space.decode(x) == ["a man", "a man", "a <unk>", "<unk> man"]
    assert source.space.vocabulary == 5
    assert "2 of 8 words are not in the vocabulary" in caplog.text
    known = Text(tmp_path / "lines.txt", unit="bpe")
    assert UNKNOWN not in torch.from_numpy(known.load("train").x)


@pytest.mark.parametrize("unit", ["word", "bpe", "char"])
def test_the_unknown_token_of_a_file_occurs_once_in_the_vocabulary(tmp_path, unit):
    lines = ["a <unk> man \ufffd", "(<unk>) <pad> <eos> man"] * 3
    source = Text(save(tmp_path, lines), unit=unit)
    x = torch.from_numpy(source.load("train").x)
    source.space.check(x)
    tokens = json.loads(source.space.tokenizer)["model"]["vocab"]
    assert sorted(tokens.values()) == list(range(source.space.vocabulary))
    assert (x == UNKNOWN).sum() == {"word": 6, "bpe": 0, "char": 3}[unit]


def test_long_lines_are_cut_with_a_log_message(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = Text(save(tmp_path, ["a man in a hat", "a man", "a hat in"]), length=4, min_count=1)
    x = torch.from_numpy(source.load("train").x)
    assert source.space.decode(x) == ["a man in a", "a man", "a hat in"]
    assert not (x[0] == END).any() and (x[2] == END).any()
    source.space.check(x)
    assert "1 of 3 lines are longer than data.length=4" in caplog.text
    assert "data.length=6" in caplog.text


def test_test_sentences_are_read_with_the_tokenizer_of_the_others(tmp_path):
    path, other = save(tmp_path, ["a man"] * 3), save(tmp_path, ["man a dog", "a man", "a man"], "other.txt")
    source = Text(path, other)
    assert source.space.decode(torch.from_numpy(source.load("test").x)) == ["man a <unk>", "a man", "a man"]
    longer = Text(path, other, length=9, min_count=3)
    assert longer.space.shape == (3,)
    data = DataModule(Text(path, other), batch_size=2, validation=1)
    assert data.sample("train", 2).x.dtype == torch.float32
    assert Text(path).load("test") is None


REFUSED = {
    b"": r"is empty; name another file\.$",  # which may be a task's input
    b"a man\n\na hat\n": r"line 2 is empty.*grep",
    b"a man\n  \t\n": "line 2 is empty",
    b"a man\ncaf\xe9\n": r"line 2: byte 4, b'\\xe9', is not UTF-8.*iconv",
    "a man\n".encode("utf-16-le"): "line 1: it holds a zero byte.*iconv -f utf-16le -t utf-8 .*lines.txt > utf8.txt",
    b"a man\nb dog\n": r"no word of it.*data.min_count=1",
}


@pytest.mark.parametrize("content", REFUSED, ids=str)
def test_unreadable_files_are_refused(tmp_path, content):
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=REFUSED[content]) as refusal:
        Text(path).load("train")
    assert "lines.txt" in str(refusal.value)


RANDOM = random.Random(0)
UNKNOWN_WORDS = {
    "Chinese": ["".join(RANDOM.choices("天地玄黄宇宙洪荒", k=12)) + "。" for _ in range(50)],
    "Thai": ["".join(RANDOM.choices("กขคงจฉชซ", k=24)) for _ in range(50)],
    "rare words": [f"a man sees {i}th dog{i} and cat{i}" for i in range(50)],
    "rare signs": ["".join(chr(0x4E00 + (i * 16 + k) % 400) for k in range(16)) for i in range(30)],
}


FITTING = {"Chinese": ["unit=char"], "Thai": ["unit=char"], "rare signs": ["unit=bpe"]}


@pytest.mark.parametrize("name", UNKNOWN_WORDS)
def test_mostly_unknown_words_are_refused_with_settings_that_know_them(tmp_path, name):
    path, advice = save(tmp_path, UNKNOWN_WORDS[name]), FITTING.get(name, ["min_count=1", "unit=bpe"])
    with pytest.raises(Refusal, match=r"lines.txt: .* in the vocabulary, expected 80% or more of them; use") as error:
        Text(path).load("train")
    assert re.findall(r"data\.(\w+=\w+)", str(error.value)) == advice
    for setting in advice:
        key, value = setting.split("=")
        source = Text(path, **{key: int(value) if value.isdecimal() else value})
        x = torch.from_numpy(source.load("train").x)
        assert (x == UNKNOWN).float().mean() < 0.05


def test_invalid_settings_are_refused(tmp_path):
    wrong = {"unit": "sentence", "length": 1, "vocabulary": 3, "min_count": 0}
    for name, value in wrong.items():
        with pytest.raises(Refusal, match=rf"data.{name}={value}.*data.{name}=\w+"):
            Text(save(tmp_path), **{name: value})
    with pytest.raises(Refusal, match=r"data.vocabulary=300"):
        Text(save(tmp_path), unit="bpe", vocabulary=299)
    with pytest.raises(Refusal, match=r"data.path=sentences.txt"):
        Text(None)
    with pytest.raises(Refusal, match="no file"):
        Text(tmp_path / "none.txt").load("train")


def test_numbers_that_are_not_a_sentence_are_refused():
    space = Space((4,), learn(["a man"]))
    good = torch.tensor([[3, 4, 1, 0], [1, 0, 0, 0], [3, 3, 3, 3.0]])
    space.check(good)
    for wrong in ([3, 0, 3, 1], [3, 1, 3, 0], [3, 1, 1, 0], [3, 9, 1, 0], [3.5, 1, 0, 0], [-1, 1, 0, 0], [3, 3, 3, 0]):
        with pytest.raises(Refusal, match="not a sentence"):
            space.check(torch.tensor([wrong], dtype=torch.float))


@pytest.mark.long
@pytest.mark.parametrize(("unit", "vocabulary", "longest"), [("word", 4777, 42), ("bpe", 2000, 61), ("char", 79, 64)])
def test_captions(unit, vocabulary, longest):
    root = os.environ.get("VAEKIT_DATA")
    path = Path(root or "", "Text", "Multi30k_en", "train.en")
    if root is None or not path.exists():
        pytest.skip(f"VAEKIT_DATA={root} has no Text/Multi30k_en")
    source = Text(path, unit=unit, vocabulary=10_000 if unit == "word" else 2000)
    x = torch.from_numpy(source.load("train").x)
    assert x.shape == (29_000, longest) and source.space.vocabulary == vocabulary
    whole = (x != UNKNOWN).all(1) & (x == END).any(1)
    assert [line for line, kept in zip(read(path), whole, strict=True) if kept] == source.space.decode(x[whole])
