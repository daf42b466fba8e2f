from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vaekit.data.module import DataModule
from vaekit.refusal import Refusal
from vaekit.settings import check_type, check_types
from vaekit.spaces import Image, Real

CONF = Path(__file__).parents[2] / "conf"
LIKELIHOODS = {
    "bernoulli": ["mnist", "fashion_mnist", "kmnist", "emnist", "omniglot", "sprites"],
    "discretized_logistic": ["digits", "cifar10", "svhn", "image_folder"],
    "gaussian": ["arrays", "audio"],
    "multivariate_student": ["series"],
    "table": ["table"],
    "tiles": ["levels"],
    "tokens": ["text"],
    "paired": ["paired"],
}
VALUES = {
    "bernoulli": "binary",
    "gaussian": "continuous",
    "table": "table",
    "tiles": "tiles",
    "tokens": "tokens",
    "series": "continuous",
    "audio": "unit",
    "continuous_bernoulli": "unit",
} | {"paired": "pairs"}
ARRAYS = {"arrays_uint8": "discretized_logistic", "arrays_float": "continuous_bernoulli", "arrays_bool": "bernoulli"}
NAMES = {name: likelihood for likelihood, names in LIKELIHOODS.items() for name in names}


@pytest.fixture
def composed(tmp_path, monkeypatch):
    """A function from overrides to the configuration, with stand-ins for the other groups."""
    monkeypatch.delenv("VAEKIT_DATA", raising=False)
    (tmp_path / "likelihood").mkdir()
    for name in {*LIKELIHOODS, *ARRAYS.values()}:
        (tmp_path / "likelihood" / f"{name}.yaml").write_text(f"name: {name}")
    (tmp_path / "primary.yaml").write_text(
        f"defaults: [likelihood: bernoulli, data: digits, _self_]\nhydra: {{searchpath: ['file://{CONF}']}}\n"
    )

    def composed(*overrides):
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            return compose("primary", list(overrides))

    return composed


def test_every_data_set_is_tested():
    assert {file.stem for file in (CONF / "data").glob("[!_]*.yaml")} == {*NAMES, *ARRAYS, "hf"}


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_selects_a_likelihood_that_builds(composed, name, tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n2,4\n" * 20)
    files = {"arrays": [f"data.path={tmp_path}/x.npy"], "table": [f"data.path={tmp_path}/x.csv"]}
    files |= {"series": [f"data.path={tmp_path}/x.csv", "data.window=3"], "audio": [f"data.path={tmp_path}"]}
    (tmp_path / "levels").mkdir()
    (tmp_path / "levels" / "1.txt").write_text("X-\n")
    (tmp_path / "levels" / "tiles.json").write_text('{"tiles": {"X": ["solid"], "-": ["passable"]}}')
    files |= {"levels": [f"data.path={tmp_path}/levels"], "text": [f"data.path={tmp_path}/x.csv"]}
    needed = {**files, "image_folder": [f"data.root={tmp_path}"]}.get(name, [])
    np.save(tmp_path / "x.npy", np.zeros((20, 3)))
    config = composed(f"data={name}", *needed)
    assert config.data.name == name and config.likelihood.name == NAMES[name]
    data = instantiate(config.data.module)
    assert isinstance(data, DataModule)
    assert data.space.values == VALUES.get(name, VALUES.get(NAMES[name], "discrete"))
    if NAMES[name] == "bernoulli" and name != "sprites":
        assert data.space.shape == (1, 28, 28) and data.transform.binarize == "dynamic"
        assert data.validation == (0.1 if name == "omniglot" else 5000)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_images_pick_the_likelihood_of_their_dtype(composed, tmp_path, name):
    np.save(tmp_path / "x.npy", np.zeros((20, 4, 4), name.removeprefix("arrays_")))
    config = composed(f"data={name}", f"data.path={tmp_path}/x.npy")
    assert (config.data.name, config.likelihood.name) == ("arrays", ARRAYS[name])
    assert instantiate(config.data.module).space.values == VALUES.get(ARRAYS[name], "discrete")


def test_the_command_line_reaches_everything(composed, tmp_path):
    said = "root=DIR cache=CACHE batch_size=64 eval_batch_size=9 binarize=none dequantize=true flip=true shift=2"
    said += " validation=77 test=0.5 seed=3 image_size=64"
    config = composed("data=mnist", "likelihood=gaussian", *(f"data.{part}" for part in said.split()))
    data = instantiate(config.data.module)
    assert config.likelihood.name == "gaussian"  # the command line beats the data set
    assert str(data.source.root) == "DIR" and data.source.cache == "CACHE"
    assert data.space == Image((1, 64, 64), bins=256, dequantized=True)
    assert (data.batch_size, data.eval_batch_size, data.seed, data.validation, data.test) == (64, 9, 3, 77, 0.5)
    assert data.transform.flip and data.transform.shift == 2
    folder = instantiate(
        composed("data=image_folder", "data.root=DIR", "data.image_size=[48,64]", "data.channels=1").data
    )
    assert folder.module.space == Image((1, 48, 64), bins=256)


def test_the_environment_names_the_root(composed, monkeypatch):
    assert composed("data=mnist").data.root == "data"
    monkeypatch.setenv("VAEKIT_DATA", "/somewhere")
    assert composed("data=cifar10").data.source.root == "/somewhere"


def test_mandatory_settings_are_required(composed):
    with pytest.raises(Exception, match=r"data\.root=photos") as raised:
        instantiate(composed("data=image_folder").data.module)
    assert isinstance(raised.value.__cause__, Refusal)
    with pytest.raises(Exception, match=r"data\.path=rows\.npz"):
        instantiate(composed("data=arrays").data.module)


def test_the_kinds_of_columns_are_typed_as_the_refusals_say(composed):
    config = composed("data=table", "data.types={age:count,post code:ignore}")
    assert config.data.source.types == {"age": "count", "post code": "ignore"}
    with pytest.raises(Refusal, match=r"Got data.types=count, expected \{name:text\} or a list.* or null"):
        check_types(composed("data=table", "data.types=count").data, "data")


def test_a_refusal_names_each_choice_once():
    with pytest.raises(Refusal, match=r"^Got trainer.precision=fp16, expected one of 16, 32, bf16 or null\. Leave"):
        check_type("trainer.precision", "fp16", Literal[16, 32] | Literal["16", "32", "bf16"] | None)


def test_a_key_names_an_array(composed, tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros((20, 3)), b=np.zeros((20, 4)))
    config = composed("data=arrays", f"data.path={tmp_path}/x.npz", "data.key=b")
    assert instantiate(config.data.module).space == Real((4,))
