"""The code of guide pages runs, from top to bottom."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "guide"


@pytest.mark.parametrize(
    "page",
    [
        "boltzmann",
        "contrastive",
        "evaluation",
        "ica",
        "language",
        "pca",
        "sparse",
        "text",
        pytest.param("patches", marks=pytest.mark.exhaustive),
    ],
)
def test_the_guide_runs(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (GUIDE / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    names: dict = {}
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), names)
