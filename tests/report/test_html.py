import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from skrep import AutoEncoderTransformer, SimCLRTransformer
from skrep.evaluation import compare
from skrep.report.cli import main
from skrep.report.html import write_report
from skrep.report.tables import LabelledRows

pytest.importorskip("matplotlib")

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, which must be balanced, their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.cells = [], [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("th", "td"):
            self.cells[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if self.open[-1:] and {"th", "td"} & set(self.open):
            self.cells[-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def images():
    """60 grey images of three classes with awkward names."""
    rng = np.random.default_rng(0)
    y = np.repeat(["<b>one</b>", "two & 'half'", "$x^{$"], 20)
    X = rng.integers(0, 60, size=(60, 6, 6, 1), dtype=np.uint8)
    X[y == "<b>one</b>", :3] += 150
    X[y == "$x^{$", :, 3:] += 150
    return LabelledRows(X, y, "<i>data</i>.npz", notes=["a <note>"])


def report(rows, path, encoders, **options):
    comparison = compare(encoders, rows.X, rows.y, labels=[1, 1.0], n_resamples=3, **options)
    write_report(path, comparison, rows, {"Command": "python -m skrep '<x>'", "Seed": "0"})
    return comparison, path.read_text(encoding="utf8")


def test_page_needs_nothing_else_and_is_well_formed(images, tmp_path):
    quick = {"max_epochs": 2, "random_state": 0}
    _, text = report(
        images,
        tmp_path / "a.html",
        {"raw": None, "auto": AutoEncoderTransformer(4, **quick), "simclr": SimCLRTransformer(4, **quick)},
    )
    page = Page(text)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    assert page.all("html")[0]["lang"] == "en"
    assert not page.all("script") + page.all("link") + page.all("iframe")
    for _, attributes in page.tags:
        assert not {"href", "srcset", "onload", "style"} & set(attributes)
        assert attributes.get("src", "data:image/").startswith("data:image/")
    assert not re.search(r"https?://|url\(|@import", text)
    pictures = page.all("img")
    assert all(picture["alt"] for picture in pictures)
    # few labels, an image of each class, embeddings, training curves, views
    assert len(pictures) == 1 + 3 + 3 + 2 + 2
    for title in ("Results", "How to read it", "Training", "What networks are shown", "What was run"):
        assert title in page.text


def test_what_users_wrote_is_escaped(images, tmp_path):
    _, text = report(images, tmp_path / "a.html", {"raw": None, "<em>pca</em>": None})
    page = Page(text)
    assert not page.all("b") + page.all("i") + page.all("em") + page.all("x") + page.all("note")
    for written in (
        "<i>data</i>.npz",
        "a <note>",
        "<em>pca</em>",
        "<b>one</b>",
        "two & 'half'",
        "$x^{$",
        "skrep '<x>'",
    ):
        assert written in page.text


def test_numbers_are_those_of_the_comparison(images, tmp_path):
    comparison, text = report(
        images, tmp_path / "a.html", {"raw": None, "auto": AutoEncoderTransformer(4, max_epochs=1)}
    )
    page = Page(text)
    head, *body = page.cells
    assert head == ["encoder", "features", "fit, s", "transform, s", "1 a class 3 in all", "all labels 45 in all"]
    assert [cells[0] for cells in body] == ["raw", "raw, standardized", "auto", "commonest class"]
    for cells, (name, row, scores) in zip(body[:-1], comparison.lines(), strict=True):
        few, every = scores.mean
        facts = [str(row.n_features), f"{row.fit_seconds:.2f}", f"{row.transform_seconds:.2f}"]
        assert cells == [
            name,
            *(facts if scores is row.scores else [""] * 3),
            f"{few:.3f} ± {scores.sd[0]:.3f}",
            f"{every:.3f}",
        ]
    bold = re.findall(r"<td><strong>([\d.]+)</strong>", text)
    best = [f"{max(scores.mean[i] for _, _, scores in comparison.lines()):.3f}" for i in (0, 1)]
    assert set(bold) == set(best)
    assert [attributes["scope"] for attributes in page.all("th")] == ["col"] * 6 + ["row"] * 4


def test_failed_and_cut_encoders_are_told(images, tmp_path):
    bad = AutoEncoderTransformer(4, lr=-1)
    _, text = report(
        images, tmp_path / "a.html", {"raw": None, "bad": bad, "auto": AutoEncoderTransformer(4)}, time_budget=1e-3
    )
    page = Page(text)
    assert page.cells[-1][0] == "bad"
    assert page.cells[-1][1].startswith("failed: AutoEncoderTransformer(lr=-1): lr must be")
    assert "auto was trained for 1 of" in page.text


def test_table_with_one_column(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=40)
    pd.DataFrame({"x": x, "y": x > 0}).to_csv(tmp_path / "a.csv", index=False)
    out = tmp_path / "out.html"
    arguments = ["compare", str(tmp_path / "a.csv"), "--target", "y", "--encoders", "pca", "--report", str(out)]
    assert main([*arguments, "--resamples", "2"]) == 0
    assert f"The report is in {out}." in capsys.readouterr().out
    page = Page(out.read_text(encoding="utf8"))
    assert "python -m skrep compare" in page.text
    assert "An image of each class" not in page.text


def test_other_channels_have_no_pictures_of_images(images, tmp_path):
    images.X = np.repeat(images.X, 2, axis=3)
    _, text = report(images, tmp_path / "a.html", {"raw": None})
    assert "An image of each class" not in text
    assert "6x6 pixels, 2 channels" in text


def test_an_error_leaves_the_last_report_alone(images, tmp_path, monkeypatch):
    path = tmp_path / "a.html"
    path.write_text("before")
    monkeypatch.setattr("os.replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report(images, path, {"raw": None})
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]
