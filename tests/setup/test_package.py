"""What is built and installed: the package, its commands, its configuration."""

import email
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def succeed(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def copy(source):
    """What the package is built from: a build leaves files in its folder."""
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "local"))
    for pattern in ("pyproject.toml", "setup.py", "MANIFEST.in", "README*", "LICEN*"):
        for path in ROOT.glob(pattern):
            shutil.copy(path, source)
    return source


def environment(home):
    """The commands of a new environment, which has this one's packages but for vaekit."""
    succeed(sys.executable, "-m", "venv", "--without-pip", home)
    bin = home / "bin"
    site = succeed(bin / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # the path alone: an editable vaekit there would need its own .pth file to be read
    Path(site, "others.pth").write_text(sysconfig.get_path("purelib"))
    return bin, Path(site)


@pytest.mark.long
def test_an_editable_install_finds_conf_in_the_repository(tmp_path):
    """A folder called vaekit in the working directory is a namespace package, which any finder of ours comes after."""
    clone = tmp_path / "vaekit"
    clone.mkdir()
    copy(clone)
    bin, site = environment(tmp_path / "environment")
    options = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", clone]
    succeed(sys.executable, "-m", "pip", "--python", bin / "python", *options)
    (path,) = (file.read_text().strip() for file in site.glob("*.pth") if file.name != "others.pth")
    assert Path(path) == clone / "src"
    ask = "import vaekit.configs; print(vaekit.__version__, vaekit.configs.CONF)"
    said = succeed(bin / "python", "-c", ask, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}).split()
    assert Path(said[1]) == clone / "conf"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that comes from the source distribution."""
    source = copy(tmp_path_factory.mktemp("source"))
    succeed(sys.executable, "-m", "build", "--no-isolation", source)
    (path,) = (source / "dist").glob("*.whl")
    return path


@pytest.mark.long
def test_the_wheel_holds_the_package_and_its_configuration_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    code = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    configuration = {f"vaekit/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")}
    configuration = {name for name in configuration if not name.startswith("vaekit/conf/local/")}
    assert names == code | configuration | {"vaekit/py.typed"}
    assert "vaekit/conf/optimizer/decay/cosine.yaml" in names
    assert "vaekit/conf/data/_base.yaml" in names


def test_the_wheel_says_its_license_and_what_it_is(wheel):
    archive = zipfile.ZipFile(wheel)
    (license,) = (name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    assert archive.read(license) == (ROOT / "LICENSE").read_bytes()
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    said = email.message_from_bytes(archive.read(metadata))
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Description-Content-Type"] == "text/markdown"
    assert "Typing :: Typed" in said.get_all("Classifier")
    assert said.get_payload(decode=True).decode().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def commands(wheel, tmp_path_factory):
    """The folder of the commands in an environment where the wheel is installed, with this one's other packages."""
    home = tmp_path_factory.mktemp("environment")
    bin, site = environment(home)
    succeed(sys.executable, "-m", "pip", "--python", bin / "python", "install", "--no-deps", "--no-index", wheel)
    origin = succeed(bin / "python", "-c", "import vaekit.configs; print(vaekit.configs.CONF)", cwd=home)
    assert Path(origin.strip()) == Path(site, "vaekit", "conf")
    return bin


@pytest.mark.long
def test_the_commands_run_from_any_folder_with_configurations_of_ones_own(commands, tmp_path):
    for folder, text in {
        "model": "# @package _global_\ndefaults:\n  - override /network: mlp\nnetwork:\n  hidden: [16]\n",
        "experiment": "# @package _global_\ndefaults:\n  - override /model: mine\nlatents:\n  dim: 3\n",
    }.items():
        (tmp_path / "my" / folder).mkdir(parents=True)
        (tmp_path / "my" / folder / "mine.yaml").write_text(text)
    environment = {**os.environ, "PYTHONPATH": ""}
    shared = {"cwd": tmp_path, "env": environment}
    listed = succeed(commands / "vaekit-train", "--config-dir", "my", "--help", **shared)
    assert "mine" in listed
    assert "pseudo-inputs" in succeed(commands / "vaekit-train", "--list", "prior", **shared)
    assert "impute" in succeed(commands / "vaekit-apply", "--list", **shared)
    typed = shared | {"env": environment | {"COMP_LINE": "vaekit-train prior=va"}}
    assert succeed(commands / "vaekit-train", "-sc", "query=bash", **typed).split() == ["prior=vamp"]
    quick = ["trainer=cpu", "trainer.max_epochs=1", "evaluation.num_samples=1"]
    succeed(commands / "vaekit-train", "--config-dir", "my", "experiment=mine", *quick, **shared)
    assert "dim: 3" in (tmp_path / "outputs" / "latest" / "config.yaml").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my", "outputs"]
    succeed(commands / "vaekit-apply", "task=sample", **shared)
    assert list((tmp_path / "outputs" / "latest" / "tasks" / "sample").iterdir())
