"""The page: what was compared, in one file that can be sent to somebody."""

import base64
import contextlib
import io
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from skrep._version import __version__
from skrep.data import ImageFiles
from skrep.displays import EmbeddingDisplay, FewLabelDisplay, TrainingCurveDisplay, ViewsDisplay
from skrep.displays.grid import unit_range
from skrep.evaluation.compare import Comparison, ComparisonRow
from skrep.evaluation.few_label import FewLabelScores
from skrep.report.tables import LabelledRows

__all__ = ["require_report", "write_report"]

N_SAMPLE_IMAGES = 12
N_VIEWED_IMAGES = 4


def require_report(path: Path) -> None:
    """Raise ValueError, in one sentence, if a report could not be written to `path`."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError("--report needs matplotlib, which cannot be imported: pip install 'skrep[plots]'.") from None
    if path.is_dir():
        raise ValueError(f"--report {path} is a folder; give the path of a file in it, such as {path / 'report.html'}.")
    try:
        with _written_at_once(path):
            pass
    except OSError as error:
        raise ValueError(
            f"--report {path} cannot be written ({error.strerror}). Give a path in a folder that exists and that you "
            "may write to."
        ) from None


def write_report(path: Path, comparison: Comparison, rows: LabelledRows, run: Mapping[str, str]) -> None:
    """Write a comparison as one page that needs no other file and no network.

    Parameters
    ----------
    path : pathlib.Path
        Replaced in one step once the page is complete.
    comparison : Comparison
        With at least one row.
    rows : LabelledRows
        What was compared on.
    run : mapping of str to str
        What else to say about the run (command, seed, seconds), by name.
    """
    page = _page(comparison, rows, run)
    with _written_at_once(path) as part:
        part.write_text(page, encoding="utf8")
        os.replace(part, path)


@contextlib.contextmanager
def _written_at_once(path: Path) -> Iterator[Path]:
    """A file beside `path`, to be moved there; gone after an error."""
    part = path.with_name(f"{path.name}.part")
    part.touch()
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _page(comparison: Comparison, rows: LabelledRows, run: Mapping[str, str]) -> str:
    import matplotlib

    matplotlib.use("agg")  # no windows
    # names of classes are no formulas
    style: Any = {"font.size": 10, "figure.figsize": (4.8, 3.6), "svg.hashsalt": "skrep", "text.parse_math": False}
    with matplotlib.rc_context(style):
        sections = [
            _results(comparison),
            _how_to_read(rows),
            _curves(comparison),
            _samples(rows) if rows.are_images and rows.X.shape[3] in (1, 3) else "",
            _embeddings(comparison),
            _training(comparison),
            _views(comparison, rows) if rows.are_images and rows.X.shape[3] in (1, 3) else "",
            _run(run),
        ]
    return PAGE.substitute(
        title=escape(f"{rows.name}: encoders compared"),
        heading=escape(rows.name),
        summary=escape(str(rows).removeprefix(f"{rows.name}: ")),
        split=f"{comparison.n_train} rows to learn from, {comparison.n_test} held out for testing.",
        notes="".join(f"<p>{escape(note)}</p>" for note in [*rows.notes, *comparison.notes]),
        interrupted=_interruption(comparison),
        style=STYLE,
        sections="".join(sections),
        version=escape(__version__),
    )


# --- sections ----------------------------------------------------------------------------------------------------


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _interruption(comparison: Comparison) -> str:
    if comparison.interrupted is None:
        return ""
    name = escape(comparison.interrupted)
    return f'<p class="alert">Interrupted during {name}: it and the encoders after it are missing.</p>'


def _results(comparison: Comparison) -> str:
    scores = comparison.rows[0].scores
    heads = [
        f'{escape(name)} <span class="minor">{n} in all</span>'
        for name, n in zip(scores.names, scores.n_labels, strict=True)
    ]
    names = ["encoder", "features", "fit, s", "transform, s", *heads]
    best = comparison.best()
    body = [_line(name, row, scores, best) for name, row, scores in comparison.lines()]
    if scores.majority is not None:
        cells = f"<td>{scores.majority:.3f}</td>" * len(scores.labels)
        body.append(f'<tr><th scope="row">{scores.majority_name}</th><td></td><td></td><td></td>{cells}</tr>')
    for name, message in comparison.failed.items():
        body.append(
            f'<tr><th scope="row">{escape(name)}</th>'
            f'<td class="failed" colspan="{len(names) - 1}">failed: {escape(message)}</td></tr>'
        )
    table = (
        '<div class="scroll" role="region" aria-label="Results" tabindex="0"><table><caption><span>Test '
        f"{escape(scores.metric)} by labels per class, mean and standard deviation over draws of labels; the best of "
        "each column is bold. Lines that say standardized: StandardScaler and LogisticRegression on the same features."
        "</span></caption>"
        "<thead><tr>"
        + "".join(f'<th scope="col">{name}</th>' for name in names)
        + f"</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )
    return _section("Results", _tiles(comparison), table)


def _line(name: str, row: ComparisonRow, scores: FewLabelScores, best: np.ndarray) -> str:
    facts = [str(row.n_features), f"{row.fit_seconds:.2f}", f"{row.transform_seconds:.2f}"]
    cells = [f"<td>{fact}</td>" for fact in (facts if scores is row.scores else [""] * 3)]
    for mean, sd, score, top in zip(scores.mean, scores.sd, scores.scores, best, strict=True):
        number = f"<strong>{mean:.3f}</strong>" if mean.round(3) == top else f"{mean:.3f}"
        spread = f' <span class="minor">± {sd:.3f}</span>' if len(score) > 1 else ""
        cells.append(f"<td>{number}{spread}</td>")
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'


def _tiles(comparison: Comparison) -> str:
    """The best encoder for each number of labels, and what it gains over the baselines."""
    tiles, lines = [], comparison.lines()
    for i, count in enumerate(comparison.rows[0].scores.names):
        winner, winning_row, winning = max(lines, key=lambda line: line[2].mean[i].round(3))
        gains = [
            f'<span class="minor">{winning.mean[i] - max(baseline):+.3f} over {name}</span>'
            for name in ("raw", "random")
            if (baseline := [scores.mean[i] for _, row, scores in lines if row.name == name])
            and name != winning_row.name
        ]
        tiles.append(
            f'<li><span class="minor">best with {escape(count)}</span>'
            f'<span class="number">{winning.mean[i]:.3f}</span><span>{escape(winner)}</span>{"".join(gains)}</li>'
        )
    return f'<ul class="tiles">{"".join(tiles)}</ul>'


def _how_to_read(rows: LabelledRows) -> str:
    return _section(
        "How to read it",
        "<p>Each encoder learned features from the training rows without their labels. A logistic regression was then "
        "trained on the features of a few labelled rows, and its accuracy on the held-out rows is what is shown.</p>"
        f"<p><strong>raw</strong> is the {'pixels' if rows.are_images else 'columns'} themselves: an encoder that does "
        "not beat it is not worth its time. <strong>random</strong> is the network before training; the gap to "
        "it is what training added. All encoders saw the same draws of labels, so differences between "
        "them are more certain than the standard deviations suggest.</p>",
    )


def _curves(comparison: Comparison) -> str:
    picture = _picture(
        FewLabelDisplay.from_comparison(comparison),
        "Test accuracy by number of labels, one line for each encoder; the numbers are in the table above.",
    )
    return _section("Accuracy by number of labels", f'<div class="wide">{picture}</div>')


def _samples(rows: LabelledRows) -> str:
    classes, first = np.unique(rows.y, return_index=True)
    images = _images(rows.X, first[:N_SAMPLE_IMAGES])
    images = unit_range(images, like=images)
    items = [
        f'<li><img src="{_png(image)}" alt="An image of class {escape(str(name))}" class="sample">'
        f"<span>{escape(str(name))}</span></li>"
        for image, name in zip(images, classes, strict=False)
    ]
    rest = len(classes) - len(items)
    more = f'<p class="minor">and {rest} more classes</p>' if rest else ""
    return _section("An image of each class", f'<ul class="strip">{"".join(items)}</ul>', more)


def _embeddings(comparison: Comparison) -> str:
    pictures = [
        _picture(
            EmbeddingDisplay.from_features(row.features, comparison.y_shown),
            f"Features of {row.name} in two dimensions, a point for each test row, coloured by class.",
            row.name,
        )
        for row in comparison.rows
        if row.n_features > 1
    ]
    text = (
        "<p>Features of test rows, squeezed into two dimensions. Classes that stand apart here are easy for a probe; "
        "classes that overlap here may still be apart in the other dimensions.</p>"
    )
    return _section("Features in two dimensions", text, _grid(pictures)) if pictures else ""


def _training(comparison: Comparison) -> str:
    trained = {row.name: _network(row.encoder) for row in comparison.rows}
    pictures = [
        _picture(
            TrainingCurveDisplay.from_estimator(network, name=name),
            f"Loss of {name} by epoch, {len(network.history_)} in all.",
            name,
        )
        for name, network in trained.items()
        if hasattr(network, "history_")
    ]
    return _section("Training", _grid(pictures)) if pictures else ""


def _views(comparison: Comparison, rows: LabelledRows) -> str:
    images = _images(rows.X, np.unique(rows.y, return_index=True)[1][:N_VIEWED_IMAGES])
    pictures = [
        _picture(
            ViewsDisplay.from_estimator(_network(row.encoder), images),
            f"{len(images)} images, and what {row.name} is shown of them in training.",
            row.name,
        )
        for row in comparison.rows
        if hasattr(_network(row.encoder), "sample_views")
    ]
    text = "<p>Images as they are, and one random draw of what the network is shown of them in training.</p>"
    return _section("What networks are shown", text, _grid(pictures)) if pictures else ""


def _run(run: Mapping[str, str]) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "scikit-learn", "numpy"))
    facts = {
        **run,
        "Date": datetime.now().astimezone().isoformat(" ", "minutes"),
        "Versions": f"skrep {__version__}, {packages}, Python {platform.python_version()}",
        "Machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return _section("What was run", f"<dl>{items}</dl>")


# --- pictures ----------------------------------------------------------------------------------------------------


def _network(encoder: Any) -> Any:
    """What was trained: the last step of a pipeline."""
    return encoder[-1] if isinstance(encoder, Pipeline) else encoder


def _images(X: Any, index: np.ndarray) -> np.ndarray:
    """Some images, decoded if they are files."""
    return np.stack(X.__getitems__(index.tolist())) if isinstance(X, ImageFiles) else np.asarray(X[index])


def _picture(display: Any, alt: str, caption: str = "") -> str:
    """A display as a figure, drawn in place and closed."""
    import matplotlib.pyplot as plt

    file = io.BytesIO()
    display.figure_.savefig(file, format="svg", metadata={"Date": None})
    plt.close(display.figure_)
    captioned = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure>{captioned}<img src="{_data_uri("svg+xml", file)}" alt="{escape(alt)}"></figure>'


def _png(image: np.ndarray) -> str:
    """An image (height, width, channels), grey or colour, of values in [0, 1] as a data URI."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, np.broadcast_to(image, (*image.shape[:2], 3)), format="png")
    return _data_uri("png", file)


def _data_uri(kind: str, file: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _grid(pictures: Sequence[str]) -> str:
    return f'<div class="grid">{"".join(pictures)}</div>'


# --- page --------------------------------------------------------------------------------------------------------

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f7f7f5; --card: #ffffff; --line: #dfe2e6;
  --ink: #1b1f24; --minor: #59636e; --accent: #1a5fcc; --alert: #9a3412;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --card: #1d2127; --line: #343a42;
    --ink: #e6e9ed; --minor: #a2acb7; --accent: #79b0ff; --alert: #ffb38a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; }
h1 { margin: 0 0 .5rem; font-size: clamp(1.6rem, 4vw, 2.3rem); line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 1rem; font-size: 1.2rem; }
header p { margin: 0 0 .25rem; color: var(--minor); }
section { margin-top: 3rem; }
section > p { max-width: 46rem; }
.eyebrow { color: var(--accent); font-weight: 600; letter-spacing: .02em; }
header .alert { margin-top: 1rem; color: var(--alert); font-weight: 600; }
.minor { color: var(--minor); font-size: .85em; font-weight: 400; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; }
.tiles, .strip { list-style: none; margin: 0 0 1.25rem; padding: 0; }
.tiles li, .scroll, dl { background: var(--card); }
.tiles li, .scroll, dl, figure { border: 1px solid var(--line); border-radius: .6rem; }
.tiles li { display: flex; flex-direction: column; padding: .8rem 1rem; overflow-wrap: anywhere; }
.tiles .number { font-size: 1.8rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { padding: .8rem 1rem; text-align: left; color: var(--minor); font-size: .9rem; }
caption span { position: sticky; left: 1rem; display: inline-block; max-width: min(60rem, calc(100vw - 5rem)); }
th, td { padding: .5rem 1rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { font-weight: 600; vertical-align: bottom; }
thead th .minor { display: block; }
th:first-child { position: sticky; left: 0; background: var(--card); text-align: left; }
td.failed { text-align: left; white-space: normal; color: var(--alert); }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
.wide { max-width: 40rem; }
figure { margin: 0; padding: .75rem; background: #ffffff; color: #1b1f24; }
figure img { display: block; width: 100%; max-height: 26rem; object-fit: contain; }
figcaption { margin-bottom: .5rem; font-weight: 600; font-size: .95rem; }
.strip { display: flex; flex-wrap: wrap; gap: .75rem; }
.strip li { width: 4.5rem; text-align: center; font-size: .85rem; overflow-wrap: anywhere; }
.sample { display: block; width: 100%; height: 4.5rem; object-fit: contain; image-rendering: pixelated; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 0; padding: 1rem; }
dt { color: var(--minor); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { padding-top: 3rem; padding-bottom: 3rem; color: var(--minor); font-size: .85rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 36rem) {
  header { padding-top: 1.5rem; }
  section { margin-top: 2.25rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
  th, td { padding: .45rem .7rem; }
}
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<p class="eyebrow">Which representation works with few labels?</p>
<h1>$heading</h1>
<p>$summary $split</p>
$notes
$interrupted
</header>
<main>
$sections
</main>
<footer>Written by skrep $version.</footer>
</body>
</html>
""")
