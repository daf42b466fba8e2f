"""Each data space has its own medium."""

from dataclasses import dataclass

import pytest

from helpers import SPACES, config, examples
from vaekit.media.medium import Medium, medium
from vaekit.plan.plan import Plan
from vaekit.refusal import Refusal
from vaekit.spaces import Real


@dataclass(frozen=True)
class Spectra(Real):
    """A space that nobody has written a medium for."""


@pytest.mark.parametrize("name", SPACES)
def test_results_are_written_to_files(name, tmp_path):
    space = SPACES[name]
    its = medium(space)
    assert isinstance(its, Medium) and type(its).__name__ == type(space).__name__
    its.write(tmp_path / "samples", examples(space, 4).x, 2)
    assert any(path.is_file() and path.stat().st_size for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("name", SPACES)
def test_written_arrays_are_read_back(name, tmp_path):
    space = SPACES[name]
    x = examples(space, 3).x
    sets = medium(space).set_writers
    for write in sets.values():
        folder = tmp_path / write.__name__
        folder.mkdir()
        write(folder, x.numpy(), None, {})
        assert any(path.is_file() and path.stat().st_size for path in folder.rglob("*"))


def test_a_space_without_a_medium_is_refused_before_it_is_trained_on():
    space = Spectra((6,))
    with pytest.raises(Refusal, match=r"Add it.*class Spectra\(Real\)") as refusal:
        medium(space)
    assert "src/vaekit/media/spectra.py" in str(refusal.value)
    words = config("model=mlp_vae", "network.hidden=[8]", "likelihood=gaussian")
    with pytest.raises(Refusal, match="No medium"):
        Plan.read(words, space, training=True)
    vae = Plan.read(words, space).build_vae()
    assert vae.sample(2).shape == (2, 6), "in Python it may be used without files"
