"""`import vaekit` is quick, and makes torchvision importable with any torch."""

import subprocess
import sys

import pytest


def python(code, **options):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_lightweight():
    heavy = "{'torch', 'torchvision', 'lightning', 'hydra', 'omegaconf', 'numpy', 'matplotlib', 'wandb', 'yaml'}"
    python(f"import sys, vaekit; assert vaekit.__version__; assert not {heavy} & set(sys.modules)")


@pytest.mark.long
def test_load_is_imported_on_access():
    python("import sys, vaekit; assert vaekit.load.__module__ == 'vaekit.runs'; assert 'torch' in sys.modules")
    python("import vaekit\ntry: vaekit.unknown\nexcept AttributeError: pass\nelse: raise AssertionError")


def test_dir_lists_public_names():
    python("import vaekit; assert 'load' in dir(vaekit) and '__version__' in dir(vaekit)")


@pytest.mark.long
@pytest.mark.parametrize(
    "then",
    ["import lightning.pytorch", "import torchvision.utils, torchvision.transforms.v2", "import torch"],
)
def test_torchvision_imports_after_vaekit(then):
    python(f"import vaekit; {then}; import torchvision; assert torchvision.__spec__.origin")


@pytest.mark.long
def test_the_hook_is_installed_once_and_removed():
    python(
        "import sys, vaekit\n"
        "from vaekit.torchvision_operators import _OnImport, declare_on_import\n"
        "hooks = lambda: sum(isinstance(finder, _OnImport) for finder in sys.meta_path)\n"
        "declare_on_import(); assert hooks() == 1\n"
        "import torchvision; assert hooks() == 0\n"
        "declare_on_import(); assert hooks() == 0\n"
    )


@pytest.mark.long
def test_existing_operators_stay():
    python(
        "import torch, vaekit\n"
        "from vaekit import torchvision_operators\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "for name, schema in torchvision_operators.SCHEMAS.items(): library.define(name + schema)\n"
        "torchvision_operators.declare_missing([])\n"
        "assert not torchvision_operators._libraries\n"
    )


def test_the_hook_is_silent_where_torchvision_is_missing():
    python(
        "import sys, vaekit\n"
        "sys.path = [path for path in sys.path if 'site-packages' not in path]\n"
        "try: import torchvision\n"
        "except ModuleNotFoundError as error: assert error.name == 'torchvision'\n"
        "assert 'torch' not in sys.modules\n"
    )


@pytest.mark.parametrize(
    "words", [["--help"], ["--list", "prior"], ["--info", "prior=vamp"], ["--version"], ["latents.dimm=3"]]
)
def test_help_does_not_import_torch(words):
    python(
        f"import sys; sys.argv = ['train.py', *{words}]\n"
        "from contextlib import suppress\n"
        "from vaekit.commands import train\n"
        "with suppress(SystemExit): train()\n"
        "assert not {'torch', 'lightning', 'matplotlib'} & set(sys.modules)"
    )
