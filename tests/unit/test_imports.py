"""Opening ftui costs no tensor library: proven in a fresh process that shows every row of a dataset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "accelerate",
    "datasets",
    "pyarrow",
    "pandas",
    "numpy",
)
ROOT = Path(__file__).parents[2]

OPEN_AND_READ = """
import asyncio, json, sys
from pathlib import Path
from ftui.runs.workspace import Workspace
from ftui.ui.app import FtuiApp

async def main():
    app = FtuiApp(Workspace(Path(sys.argv[1])))
    async with app.run_test(size=(120, 36)) as pilot:
        for _ in range(2000):
            if app.screen.facts is not None and app.screen.facts.checked:
                break
            await pilot.pause(0.01)
        await pilot.press("a", "j", "e", "escape", "slash", "x", "escape", "question_mark", "escape")
        return app.screen.facts.rows, sorted({name.split(".")[0] for name in sys.modules})

rows, modules = asyncio.run(main())
sys.__stdout__.write(json.dumps([rows, modules]))
"""


def run(code: str, *arguments: str, folder: Path) -> str:
    environment = {**os.environ, "FTUI_CONFIG": str(folder / "config"), "FTUI_CACHE": str(folder / "cache")}
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


def test_opening_and_annotating_a_dataset_imports_no_tensor_library(tmp_path):
    datasets = tmp_path / "bot" / "datasets"
    datasets.mkdir(parents=True)
    row = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
    (datasets / "rows.jsonl").write_text((json.dumps(row) + "\n") * 50)
    rows, modules = json.loads(run(OPEN_AND_READ, str(tmp_path / "bot"), folder=tmp_path))
    assert rows == 50, "nothing was opened: the test would prove nothing"
    assert not set(HEAVY) & set(modules)


@pytest.mark.parametrize(
    "module",
    ["ftui.ui.app", "ftui.ui.screens.data", "ftui.cli.main", "ftui.data.dataset", "ftui.runs.workspace"],
)
def test_importing_a_room_imports_no_tensor_library(tmp_path, module):
    code = (
        f"import json, sys, {module}; print(json.dumps(sorted(name.split('.')[0] for name in sys.modules)))"
    )
    assert not set(HEAVY) & set(json.loads(run(code, folder=tmp_path)))


def test_the_way_to_the_first_paint_does_without_pydantic_and_drivers(tmp_path):
    code = "import json, sys, ftui.ui.app, ftui.ui.screens.data; print(json.dumps(sorted(sys.modules)))"
    modules = set(json.loads(run(code, folder=tmp_path)))
    assert not modules & {
        "pydantic",
        "psutil",
        "pynvml",
        "click",
        "ftui.data.dataset",
        "textual.widgets._text_area",
    }
