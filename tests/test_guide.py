"""The Python of the README and of the pages in docs/ runs: every block of every page, on small budgets."""

import copy
import re
import textwrap
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from joblib import parallel_config

from skrep.backbones import ResNetModule
from skrep.engine.net import Net
from skrep.patches import ImagePatches
from skrep.text import skip_gram
from skrep.words.training import Training

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "guide").glob("*.md")])

# What a block may be. Python under any other name would not run.
LANGUAGES = {"python", "bash", "text", "{eval-rst}", "{figure}", "{literalinclude}", "{toctree}"}

# Ceilings, whatever a page asks for: passes over the data, batches in a pass, patches of images to learn from.
EPOCHS, BATCHES, PATCHES = 1, 2, 1000

# What a page may lack, and what the error then names.
OPTIONAL = {
    "PIL": "pillow",
    "dask": "dask",
    "distributed": "distributed",
    "matplotlib": "matplotlib",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "rich": "rich",
    "safetensors": "safetensors",
    "sklearn.callback": "sklearn.callback",  # from scikit-learn 1.9 on
    "tokenizers": "tokenizers",
}


class Block(NamedTuple):
    """What stands between two fences."""

    language: str
    line: int  # of the first fence, counted from 1
    code: str


def blocks(page: Path) -> Iterator[Block]:
    fence, language, start, lines = "", "", 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(keepends=True), 1):
        if fence:
            if line.strip() == fence:
                yield Block(language, start, textwrap.dedent("".join(lines)))
                fence = ""
            else:
                lines.append(line)
        elif opening := re.match(r"\s*(`{3,}|~{3,})\s*(\S*)", line):
            (fence, language), start, lines = opening.groups(), number, []
    assert not fence, f"{page}: the block of line {start} has no end"


def python_of(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def run(page: Path) -> None:
    """Run the blocks of a page in one namespace; a traceback shows the lines of the page."""
    names = {"__name__": "__main__"}
    for block in python_of(page):
        try:
            exec(compile("\n" * block.line + block.code, page, "exec"), names)
        except ImportError as error:
            missing = [name for name, named in OPTIONAL.items() if named in str(error).lower() and not is_there(name)]
            if not missing:
                raise
            line = next(at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(page))
            pytest.skip(f"{name_of(page)}:{line} and what follows need {', '.join(missing)}")
        close_figures()


def is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def close_figures() -> None:
    """Matplotlib warns of twenty that are open."""
    if is_there("matplotlib"):
        import matplotlib.pyplot as plt

        plt.close("all")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# --- small budgets ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_budgets(monkeypatch):
    """Ceilings, put where fits do their work, so that pages say what a reader should say."""
    fit_loop, train, draw = Net.fit_loop, Training.train, ImagePatches._draw

    def few_batches(net, X, *args, epochs=None, **options):
        X = copy.copy(X)
        batches = X.batches
        X.batches = lambda *given: islice(batches(*given), BATCHES)
        epochs = min(net.max_epochs, EPOCHS) if epochs is None else epochs
        return fit_loop(net, X, *args, epochs=epochs, **options)

    def few_passes(training, saved):
        training.n_epochs = min(training.n_epochs, EPOCHS)
        return train(training, saved)

    def few_patches(patches, images, n_patches, seed):
        return draw(patches, images, min(n_patches, PATCHES), seed)

    monkeypatch.setattr(Net, "fit_loop", few_batches)
    monkeypatch.setattr(Training, "train", few_passes)
    monkeypatch.setattr(skip_gram, "EPOCHS", (EPOCHS, EPOCHS))
    monkeypatch.setattr(ImagePatches, "_draw", few_patches)
    with parallel_config("sequential"):  # n_jobs=2: other processes would not know of the ceilings
        yield


# --- what pages take for granted -------------------------------------------------------------------------------------


def make_pictures(folder: Path) -> None:
    """Images in a sub-folder for each class, in a format that is written without Pillow."""
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for i in range(4):
            (folder / kind / f"{i}.ppm").write_bytes(b"P6 100 80 255\n" + rng.bytes(80 * 100 * 3))


def make_networks(path: Path) -> None:
    """A module of the reader's own."""
    path.write_text(
        "from torch import nn\n\n\nclass Backbone(nn.Sequential):\n"
        "    def __init__(self):\n        super().__init__(nn.Linear(64, 8))\n"
    )


def make_weights(path: Path) -> None:
    """What torchvision downloads: with its classifier, which skrep's network does not have."""
    weights = ResNetModule(18, in_channels=3, stem="imagenet", n_components=None).state_dict()
    torch.save(weights | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)


# The reader's own files, and how a page names them.
FILES = {
    "pictures": ('"pictures"', make_pictures),
    "my_networks.py": ("from my_networks import", make_networks),
    "resnet18.pth": ('"resnet18.pth"', make_weights),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that a page runs in. It is the reader's home too, and modules are found there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def cluster(monkeypatch):
    """A cluster in this process, at whatever address a page expects its scheduler."""
    if not is_there("distributed"):
        return
    import dask.distributed
    from distributed import Client

    here = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    monkeypatch.setattr(dask.distributed, "Client", lambda address: Client(**here))


@pytest.fixture
def no_windows():
    """Figures are drawn, and not shown."""
    if is_there("matplotlib"):
        import matplotlib as mpl

        mpl.use("Agg")


# --- tests -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Couldn't detect a suitable IP address")  # dask, without a network
@pytest.mark.usefixtures("small_budgets", "cluster", "no_windows")
@pytest.mark.parametrize("page", [page for page in PAGES if python_of(page)], ids=name_of)
def test_the_python_of_a_page_runs(page, folder):
    code = "".join(block.code for block in python_of(page))
    for name, (mention, make) in FILES.items():
        if mention in code:
            make(folder / name)
    run(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page):
    others = [f"line {block.line}: {block.language!r}" for block in blocks(page) if block.language not in LANGUAGES]
    assert not others, f"{name_of(page)} has blocks that are none of {sorted(LANGUAGES)}: {others}"


BROKEN = """\
# A page

```python
x = 1
```

- in a list

  ```python
  y = x + 1
  y / 0
  ```
"""


def test_an_error_names_page_and_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(BROKEN)
    with pytest.raises(ZeroDivisionError) as caught:
        run(page)
    last = traceback.extract_tb(caught.tb)[-1]
    assert (last.filename, last.lineno, last.line) == (str(page), 11, "y / 0")


def test_a_wrong_import_is_an_error_and_not_skipped(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nfrom skrep import Tokenizers\n```\n")
    with pytest.raises(ImportError, match="Tokenizers"):
        run(page)
