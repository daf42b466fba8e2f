"""Loading a run runs no code from it: malicious run folders, each of which would leave a mark if any did."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from hydra.utils import get_object
from safetensors.torch import load_file, save_file

import vaekit
from vaekit import runs
from vaekit.refusal import Refusal

PRIOR = "vaekit.priors.standard_normal.StandardNormal"


class Evil:
    """A pickle that touches a file when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def lair(run, tmp_path, monkeypatch):
    """A copy of a good run; next to it modules, a hub repository and a pickle that leave a mark when they are run.

    It is the current folder, and on Python's path, as for somebody who works in a folder that they were sent.
    """
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'mark')!r}).touch()\nclass Thing: pass\ndef thing(): pass\n"
    for name in ("evil.py", "hubconf.py", "vaekit/evil.py", "torch/nn/evil.py", "zuko_evil.py", "vaekit_evil.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    torch.save(Evil(tmp_path / "mark"), tmp_path / "evil.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("evil", "hubconf"):
        sys.modules.pop(name, None)


def config_of(folder):
    return yaml.safe_load((folder / "config.yaml").read_text())


def rewrite(folder, change):
    """Change the configuration of a run in place."""
    config = config_of(folder)
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def assert_refused(folder, match=None, trust=()):
    with pytest.raises(Refusal, match=match) as refusal:
        vaekit.load(folder, trust)
    assert str(refusal.value).rstrip().endswith((".", "..."))
    assert not (folder / "mark").exists()


# Targets --------------------------------------------------------------------------------------------------------------

TOUCH = {"_args_": ["touch mark"]}
ARMED = {
    "os.system": TOUCH,
    "posix.system": TOUCH,
    "subprocess.getoutput": TOUCH,
    "logging.os.system": TOUCH,
    "vaekit.runs.os.system": TOUCH,
    "vaekit.data.cache.os.system": TOUCH,
    "subprocess.run": {"args": ["touch", "mark"]},
    "builtins.eval": {"_args_": ["__import__('evil')"]},
    "builtins.exec": {"_args_": ["import evil"]},
    "importlib.import_module": {"name": "evil"},
    "vaekit.runs.importlib.import_module": {"name": "evil"},
    "runpy.run_path": {"path_name": "evil.py"},
    "evil.Thing": {},
    "evil.thing": {},
    "torch.load": {"f": "evil.pt", "weights_only": False},
    "torch.nn.modules.module.torch.load": {"f": "evil.pt", "weights_only": False},
    "torch.optim.optimizer.torch.load": {"f": "evil.pt", "weights_only": False},
    "vaekit.vae.torch.load": {"f": "evil.pt", "weights_only": False},
    "torch.hub.load": {"repo_or_dir": ".", "model": "thing", "source": "local"},
    "vaekit.vae.torch.hub.load": {"repo_or_dir": ".", "model": "thing", "source": "local"},
    "numpy.load": {"file": "evil.pkl", "allow_pickle": True},
    "joblib.load": {"filename": "evil.pkl"},
}


@pytest.mark.parametrize("target", ARMED)
def test_armed_targets_are_refused(lair, target):
    payload = {"_target_": target, **ARMED[target]}
    rewrite(lair, lambda config: config.update(prior=payload))
    assert_refused(lair, match=r"which is not a part of vaekit.*trust=")

    arguments = {key: value for key, value in ARMED[target].items() if key != "_args_"}
    get_object(target)(*ARMED[target].get("_args_", ()), **arguments)  # it would have worked
    assert (lair / "mark").exists()


@pytest.mark.parametrize(
    "target",
    [
        # targets that import more: whatever they name, only classes of the four packages pass
        "hydra.utils.instantiate",
        "hydra.utils.get_method",
        "hydra.utils.get_object",
        "functools.partial",
        "vaekit.plan.plan.partial",
        "vaekit.plan.plan.get_object",
        "vaekit.plan.plan.read_choice",
        "vaekit.load",
        "vaekit.runs.load",
        "vaekit.run_files.write_metrics",
        "vaekit.runs.Path",
        "vaekit.runs.Path.touch",
        "vaekit.runs.yaml.unsafe_load",
        "vaekit.commands.train",
        "vaekit.training.decay.cosine",
        "vaekit.networks.activation.activation",
        "vaekit.training.run.WandbLogger",
        "vaekit.vae.VAE.load_state_dict",
        "vaekit.vae.nn.Linear",
        "vaekit.spaces.Image.check",
        "vaekit",
        "vaekit.",
        "vaekit.runs",
        "vaekit..runs.Path",
        "vaekit.runs.__builtins__.eval",
        "vaekit.runs.__loader__.load_module",
        "vaekit.evil.Thing",
        "vaekit_evil.Thing",
        "zuko_evil.Thing",
        "torch.nn.evil.Thing",
        "torch.nn.Module.load_state_dict",
        "torch.nn.Parameter",
        "torch.nn.functional.relu",
        "torch.nn.init.normal_",
        "torch.nn.modules.module.OrderedDict",
        "torch.nn.parallel.data_parallel.DataParallel.forward",
        "torch.nn.utils.parametrize.type_before_parametrizations",
        "torch.optim.lr_scheduler.LambdaLR",
        "torch.optim.swa_utils.AveragedModel",
        "torch.nnx.Linear",
        "torch.utils.data.DataLoader",
        "torch.utils.cpp_extension.load_inline",
        "torch.jit.load",
        "torch.package.PackageImporter",
        "torch.distributed.rpc.rpc_sync",
        "lightning.pytorch.Trainer",
        "zuko.flows.torch.load",
        "zuko.flows.Flow.forward",
        "os",
        "system",
        "__main__.Evil",
        "",
        ".",
        ".vaekit.runs.load",
        "os.system\u200b",
        " vaekit.priors.standard_normal.StandardNormal",
        "vaekit.priors.standard_normal.StandardNormal ",
        "vaekit.priors.standard_normal\u2024StandardNormal",
        7,
        None,
        True,
        b"os.system",
        ["os.system"],
        {"os.system": 1},
        {"_target_": "os.system"},
    ],
)
def test_names_that_are_not_a_part_are_refused(lair, target):
    rewrite(lair, lambda config: config["prior"].update(_target_=target))
    assert_refused(lair, match=r"which is not a part of vaekit.*trust=")


@pytest.mark.parametrize(
    "put",
    [
        lambda config, evil: config["network"].update(encoder=evil),
        lambda config, evil: config["network"]["decoder"].update(hidden=evil),
        lambda config, evil: config["network"]["encoder"].update(hidden=[16, evil]),
        lambda config, evil: config["network"]["encoder"].update(hidden=[[[{"deep": [evil]}]]]),
        lambda config, evil: config["posterior"].update(anything={"deeper": evil}),
        lambda config, evil: config["latents"].update(dim=evil),
        lambda config, evil: config["likelihood"].update(_args_=[evil]),
        lambda config, evil: config["objective"].update(beta=evil),
        lambda config, evil: config["objective"].update(beta={**evil, "_partial_": True}),
        lambda config, evil: config["objective"].update(_convert_=evil),
        lambda config, evil: config["objective"].update(_recursive_=False, beta=evil),
        lambda config, evil: config["data"].update(source=evil),
        lambda config, evil: config["data"]["module"].update(source=evil),
        lambda config, evil: config.update(data=evil),
        lambda config, evil: config.update(space={**config["space"], "levels": evil}),
        lambda config, evil: config.update(space=evil),
        lambda config, evil: config.update(evil),
        lambda config, evil: config.update(unknown_section=[evil]),
        lambda config, evil: config.update({"trainer ": evil}),
        lambda config, evil: config["data"].update(trainer=evil),  # dropped at the top alone
    ],
)
def test_targets_are_found_at_any_depth(lair, put):
    rewrite(lair, lambda config: put(config, {"_target_": "os.system", **TOUCH}))
    assert_refused(lair, match="os.system")


def test_parts_are_known_where_they_are_defined_and_in_their_package():
    for target in (PRIOR, "torch.nn.ReLU", "torch.nn.modules.activation.ReLU", "torch.optim.Adam"):
        assert runs.check_target(target).__name__ == target.rpartition(".")[2]


def test_what_is_checked_is_what_hydra_would_call(lair, monkeypatch):
    import vaekit.priors

    # Hydra follows attributes before it looks for modules
    monkeypatch.setattr(vaekit.priors, "standard_normal", SimpleNamespace(StandardNormal=os.system))
    rewrite(lair, lambda config: config["prior"].update(_args_=["touch mark"]))
    assert_refused(lair, match="StandardNormal")


def test_training_sections_are_dropped_unread(lair, run):
    evil = {"_target_": "os.system", **TOUCH, "also": "${oc.env:HOME}"}
    rewrite(lair, lambda config: config.update(dict.fromkeys(("trainer", "callbacks", "logger", "optimizer"), 0)))
    text = (lair / "config.yaml").read_text()
    for section in runs.TRAINING_SECTIONS:
        text = text.replace(f"{section}: 0\n", yaml.safe_dump({section: evil}))
    (lair / "config.yaml").write_text(text)
    vae = vaekit.load(lair)
    assert not (lair / "mark").exists()
    assert not set(runs.read_config(lair)) & set(runs.TRAINING_SECTIONS)
    x = torch.zeros(1, 1, 8, 8)
    assert torch.equal(vae.reconstruct(x), vaekit.load(run).reconstruct(x))


def test_other_files_are_not_opened(lair):
    for path in [*lair.glob("checkpoints/*"), lair / "metrics.json", lair / "metrics.csv", *lair.glob(".hydra/*")]:
        path.write_bytes((lair / "evil.pkl").read_bytes())
    vaekit.load(lair)
    assert not (lair / "mark").exists()


# The file -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${oc.decode:x}", "${run_folder:last}", "a${x}", r"\${x}", "${"])
@pytest.mark.parametrize("put", ["value", "key", "item", "target"])
def test_interpolations_are_refused(lair, text, put):
    where = {"value": {"dim": text}, "key": {text: 4}, "item": {"dim": [text]}, "target": {"_target_": text}}
    rewrite(lair, lambda config: config["latents"].update(where[put]))
    assert_refused(lair, match="not a part of vaekit" if put == "target" else "holds the interpolation")


@pytest.mark.parametrize(
    "prior",
    [
        "!!python/object/apply:os.system ['touch mark']",
        "!!python/object/new:os.system ['touch mark']",
        "!!python/object:evil.Thing {}",
        "!!python/name:os.system ''",
        "!!python/module:evil ''",
        "!!binary é",
        "!!timestamp x",
        "!!int ''",
        "!!bool x",
        "!unknown x",
        "{? {_target_: os.system} : 1}",
        "{? [a, b] : 1}",
        "{_target_: !!binary b3Muc3lzdGVt}",
        "&a [*a]",
        "&a {_target_: *a}",
        "*nothing",
        "[" * 5000 + "]" * 5000,
        "9" * 5000,
        f"{'[' * 20_000}{']' * 20_000}",
        "a\n--- b",
        "'",
        "\x00",
    ],
    ids=lambda text: text[:30],
)
def test_files_that_are_not_plain_yaml_are_refused(lair, prior):
    text = yaml.safe_dump({key: value for key, value in config_of(lair).items() if key != "prior"})
    (lair / "config.yaml").write_text(f"{text}\nprior: {prior}\n")
    assert_refused(lair)


def test_yaml_with_nested_aliases_is_refused_quickly(lair):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(12)]
    (lair / "config.yaml").write_text("\n".join([*lines, "space: 1"]))
    assert_refused(lair, match="no aliases")


@pytest.mark.parametrize("content", [b"", b"[]", b"space", b"space:", b"7", b"\xff\xfe\x00", b"prior: {}"])
def test_files_that_are_not_a_configuration_are_refused(lair, content):
    (lair / "config.yaml").write_bytes(content)
    assert_refused(lair)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.pop("space"),
        lambda config: config.pop("prior"),
        lambda config: config.update(prior=None),
        lambda config: config.update(prior="os.system"),
        lambda config: config.update(prior=["os.system"]),
        lambda config: config["prior"].pop("_target_"),
        lambda config: config["prior"].update(unknown=1),
        lambda config: config["prior"].update(_args_="os.system"),
        lambda config: config["prior"].update(space=1),
        lambda config: config["prior"].update(_target_="vaekit.objectives.elbo.ELBO"),
        lambda config: config["latents"].update(dim="???"),
        lambda config: config["latents"].update(dim=10**12),
        lambda config: config["network"]["encoder"].update(activation="__class__"),
        lambda config: config["network"]["encoder"].update(activation="torch"),
        lambda config: config["network"]["encoder"].update(activation=["ReLU"]),
        lambda config: config["space"].pop("shape"),
        lambda config: config["space"].update(shape=8),
        lambda config: config["space"].update(shape=["a"]),
        lambda config: config["space"].update(_target_=PRIOR),
        lambda config: config["space"].update(size=1),
    ],
)
def test_configurations_that_make_no_vae_are_refused(lair, change):
    rewrite(lair, change)
    assert_refused(lair)


# The weights ----------------------------------------------------------------------------------------------------------


def overwritten(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes((path.parent / "evil.pkl").read_bytes()),
        lambda path: path.write_bytes((path.parent / "evil.pt").read_bytes()),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:]),
        lambda path: overwritten(path, lambda tensors: tensors.popitem()),
        lambda path: overwritten(path, lambda tensors: tensors.update(extra=torch.zeros(1))),
        lambda path: overwritten(path, lambda tensors: tensors.update({name: torch.zeros(1) for name in tensors})),
        lambda path: overwritten(path, lambda tensors: tensors.clear()),
    ],
    ids=["pickle", "torch", "empty", "a byte less", "cut", "endless header", "missing", "extra", "shapes", "none"],
)
def test_weights_that_do_not_fit_are_refused(lair, spoil):
    spoil(lair / "model.safetensors")
    assert_refused(lair, match=r"model\.safetensors (is damaged|does not fit)")


def test_links_are_read_like_what_they_point_to(lair):
    weights, config = lair / "model.safetensors", lair / "config.yaml"
    weights.rename(lair / "elsewhere")
    weights.symlink_to("elsewhere")
    vaekit.load(lair)
    for path, target in ((weights, "evil.pkl"), (weights, "nowhere"), (weights, "/dev/zero"), (config, "evil.py")):
        path.unlink()
        path.symlink_to(target)
        assert_refused(lair)


# What the user trusts -------------------------------------------------------------------------------------------------

MINE = """
from pathlib import Path
from vaekit.priors.standard_normal import StandardNormal

class Shifted(StandardNormal):
    def __init__(self, space, by):
        super().__init__(space)
        self.loc += by

class Other(Shifted):
    pass
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory, train_tiny):
    """A run with a prior of the user's own, from a package on Python's path and the user's configuration folder."""
    home = tmp_path_factory.mktemp("mine")
    (home / "my_priors.py").write_text(MINE)
    (home / "conf" / "prior").mkdir(parents=True)
    (home / "conf" / "prior" / "shifted.yaml").write_text("_target_: my_priors.Shifted\nby: 3.0\n")
    environment = {**os.environ, "PYTHONPATH": str(home)}
    return train_tiny(home / "run", "prior=shifted", config_dir=home / "conf", cwd=home, env=environment)


@pytest.fixture
def importable(mine, monkeypatch):
    monkeypatch.syspath_prepend(str(mine.parent))
    yield
    sys.modules.pop("my_priors", None)


@pytest.mark.long
@pytest.mark.usefixtures("importable")
def test_a_user_defined_part_loads_if_trusted(mine):
    for trust in (["my_priors.Shifted"], {"my_priors.Shifted"}, "my_priors.Shifted"):
        vae = vaekit.load(mine, trust=trust)
        assert type(vae.latents.levels[0].prior).__name__ == "Shifted"
        assert torch.equal(vae.generate(1).steps[0].p.mean, torch.full((4,), 3.0))


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    "trust", [(), ["my_priors"], ["my_priors.Other"], ["my_priors.*"], ["Shifted"], "my_priors.Shifted2", "*", [None]]
)
def test_an_untrusted_user_defined_part_is_not_imported(mine, trust):
    assert_refused(mine, match=r"my_priors\.Shifted.*trust=", trust=trust)
    assert "my_priors" not in sys.modules  # not even imported


@pytest.mark.usefixtures("importable")
def test_trust_applies_to_one_name_only(mine, tmp_path):
    shutil.copytree(mine, tmp_path, dirs_exist_ok=True)
    rewrite(tmp_path, lambda config: config["prior"].update(by={"_target_": "os.system", **TOUCH}))
    assert_refused(tmp_path, match="os.system", trust=["my_priors.Shifted"])
    rewrite(tmp_path, lambda config: config["prior"].update(_target_="my_priors.Path.touch"))
    assert_refused(tmp_path, match="my_priors.Path.touch", trust=["my_priors.Shifted"])


def test_a_missing_trusted_part_is_refused(mine):
    assert_refused(mine, match="my_priors", trust=["my_priors.Shifted"])


@pytest.mark.long
def test_apply_takes_trust_too(mine):
    apply = [sys.executable, str(Path(__file__).parents[2] / "apply.py"), "task=sample", f"run={mine}"]
    environment = {**os.environ, "PYTHONPATH": str(mine.parent)}
    for trust, code in (("trust=[]", 1), ("trust=[my_priors.Shifted]", 0)):
        done = subprocess.run([*apply, trust], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert ("trust=[my_priors.Shifted]" in done.stderr) == (code == 1)
