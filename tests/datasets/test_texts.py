import hashlib
import lzma
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import skrep.datasets
from skrep.datasets import load_wikipedia

CHECKOUT = Path(__file__).parents[2]
ORIGINAL = CHECKOUT.parent / "shared" / "data" / "text" / "enwiki_sample.txt.xz"
FOLDER = Path(skrep.datasets.__file__).parent / "data" / "wikipedia"


@pytest.fixture(scope="module")
def wikipedia():
    return load_wikipedia()


def is_prose(line):
    """What README.txt says was kept, in other words than those it was made with."""
    capitals = [word[0] for word in re.findall(r"\w+", line) if word[0].isalpha()]
    return (
        len(line) >= 150
        and line.rstrip("\"'\u201d\u2019)]")[-1] in ".!?:"
        and "ISBN" not in line
        and "[[" not in line
        and 2 * sum(letter.islower() for letter in capitals) >= len(capitals)
    )


def test_wikipedia(wikipedia):
    assert set(wikipedia) == {"texts", "target", "target_names", "DESCR"}
    assert type(wikipedia.texts) is list
    assert {type(text) for text in wikipedia.texts} == {str}
    assert len(set(wikipedia.texts)) == 4712
    assert hashlib.sha256("\n".join(wikipedia.texts).encode()).hexdigest()[:16] == "d603b311074b66fb"
    assert wikipedia.target.dtype == np.int64
    assert wikipedia.target_names.shape == (89,)
    assert wikipedia.target_names.dtype.kind == "U"
    assert wikipedia.target_names[[0, 6, 88]].tolist() == ["Anarchism", "Abraham Lincoln", "Algorithm"]
    counts = np.bincount(wikipedia.target)
    assert (len(counts), counts.min(), counts.max()) == (89, 5, 141)
    assert (np.diff(wikipedia.target) >= 0).all()  # the paragraphs of an article are together
    first = {name: wikipedia.texts[at] for name, at in zip(*first_of_each(wikipedia), strict=True)}
    assert first["Albert Einstein"].startswith("Albert Einstein (")
    assert first["Algorithm"].startswith("In mathematics and computer science, an algorithm")


def first_of_each(wikipedia):
    return wikipedia.target_names, np.searchsorted(wikipedia.target, np.arange(89))


def test_paragraphs_are_prose(wikipedia):
    assert all(is_prose(text) for text in wikipedia.texts)
    assert not any(text.startswith("=") or text != text.strip() or "\n" in text for text in wikipedia.texts)
    assert not any(text in set(wikipedia.target_names) for text in wikipedia.texts)


def test_the_description_has_the_numbers(wikipedia):
    lengths = [len(text) for text in wikipedia.texts]
    n_words = sum(len(re.findall(r"\b\w+\b", text)) for text in wikipedia.texts)
    assert f"{len(lengths):,} paragraphs of prose from {len(wikipedia.target_names)} articles" in wikipedia.DESCR
    assert f"{min(lengths)} to {max(lengths):,} characters, {np.median(lengths):.0f} at the median" in wikipedia.DESCR
    assert f"{round(n_words, -4):,} words" in wikipedia.DESCR


def test_return_X_y(wikipedia):
    X, y = load_wikipedia(return_X_y=True)
    assert type(X) is list
    assert wikipedia.texts == X
    np.testing.assert_array_equal(y, wikipedia.target)
    assert X is not wikipedia.texts  # loaded anew: who writes into one does not change the other


@pytest.mark.data
@pytest.mark.skipif(not ORIGINAL.exists(), reason="the original texts are not beside the checkout")
def test_the_original_gives_these_texts(wikipedia):
    articles = re.split(r"^= (.+) =\n", lzma.decompress(ORIGINAL.read_bytes()).decode(), flags=re.MULTILINE)[1:]
    kept = {
        title: prose
        for title, body in zip(articles[::2], articles[1::2], strict=True)
        if len(prose := [line for line in body.splitlines() if is_prose(line)]) >= 5
    }
    assert wikipedia.target_names.tolist() == list(kept)
    assert wikipedia.texts == [line for prose in kept.values() for line in prose]
    assert np.bincount(wikipedia.target).tolist() == [len(prose) for prose in kept.values()]


def test_the_file_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 0.9e6


def test_the_licence_is_beside_the_data(wikipedia):
    notice = (FOLDER / "LICENSE.txt").read_text(encoding="utf8")
    for text in (notice, wikipedia.DESCR):
        assert "https://creativecommons.org/licenses/by-sa/3.0/" in text
        assert "Attribution-ShareAlike 3.0 Unported" in text
        assert "https://en.wikipedia.org/wiki/TITLE" in text
        assert "history" in text
    assert "LICENSE.txt" in wikipedia.DESCR
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    assert "CC-BY-SA-3.0" in project["license"].split(" AND ")
    assert FOLDER / "LICENSE.txt" in {path for pattern in project["license-files"] for path in CHECKOUT.glob(pattern)}
