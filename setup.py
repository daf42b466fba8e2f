"""The wheel holds conf/ as vaekit/conf. Everything else about the package stands in pyproject.toml."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConf(build_py):
    """An editable install reads conf/ where it lies, so that it needs nothing but the path of src."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "vaekit", "conf")
            copytree("conf", target, ignore=ignore_patterns("local"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithConf})
