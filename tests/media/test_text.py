"""Files of sentences, into the space of a run and out of it."""

import pytest
import torch

from helpers import TEXT, examples
from vaekit.data.text import Text
from vaekit.media.medium import medium
from vaekit.refusal import Refusal


def test_sentences_are_read_line_by_line(tmp_path):
    (tmp_path / "a.txt").write_text("A man in hats\nTwo zebras\n")
    names, read = medium(TEXT).find(tmp_path / "a.txt")
    assert list(names) == [1, 2]
    x = read(slice(0, 2)).x
    assert x.dtype == torch.float32 and TEXT.decode(x) == ["A man in hats", "Two <unk>"]
    assert torch.equal(read(slice(1, 2)).x, x[1:])


def test_written_files_are_a_data_set(tmp_path):
    x, text = examples(TEXT, 20).x, medium(TEXT)
    x = x[x[:, 0] > 2]  # a sentence of at least one word
    text.write(tmp_path / "samples", x, 8)
    assert (tmp_path / "samples.txt").read_text().splitlines() == TEXT.decode(x)
    text.set_writers["text"](tmp_path, x.numpy(), None, {})
    again = Text(tmp_path / "synthetic.txt", min_count=1)
    assert again.space.decode(torch.from_numpy(again.load("train").x)) == TEXT.decode(x)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("A man\nA man, a hat.\n", r"line 2 has 6 tokens, expected at most 5.*data.length=7"),
        ("zebras\nlions\n", "no word of it"),
        ("A zebra\nTwo lions\n", r"a.txt: 50% of its words or marks are not in the vocabulary.*data.unit=bpe\.$"),
        ("A man\n\n", "line 2 is empty"),
    ],
)
def test_sentences_that_do_not_fit_are_refused(tmp_path, lines, message):
    (tmp_path / "a.txt").write_text(lines)
    with pytest.raises(Refusal, match=message):
        medium(TEXT).find(tmp_path / "a.txt")
