"""Files that ship beside the code: `themes/` and `recipes/`, in a wheel and in a checkout alike."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal


def asset_dir(name: Literal["themes", "recipes"]) -> Path:
    """The folder of shipped files called `name`.

    In an installed wheel it lies inside the package (hatch `force-include`), in a checkout beside it.
    Raises FileNotFoundError where neither is there: the installation is damaged.
    """
    package = Path(str(files("ftui")))
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"ftui is installed without its {name}: reinstall it")
