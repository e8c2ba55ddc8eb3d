"""A fitted encoder in a Pipeline is fitted again with it, and forgets; fit says so."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skrep
from skrep import (
    AutoEncoderTransformer,
    FastICAEncoder,
    FineTuneClassifier,
    MaskedLMTransformer,
    PatchEncoder,
    PCAEncoder,
    SparseCoder,
    Word2VecTransformer,
)

TEXTS = [f"the {a} {b} sleeps under the {a} tree" for a in ("old", "grey", "fat", "thin") for b in ("cat", "dog")] * 15
QUICK = {"max_epochs": 1, "random_state": 0}
CASES = [
    (PCAEncoder(2), "rows"),
    (FastICAEncoder(2, random_state=0), "rows"),
    (SparseCoder(4, max_iter=1, random_state=0), "rows"),
    (AutoEncoderTransformer(2, **QUICK), "rows"),
    (PatchEncoder(n_patches=200, random_state=0), "images"),
    (Word2VecTransformer(4, min_count=1, **QUICK), "texts"),
    (MaskedLMTransformer(8, tokenizer=str.split, **QUICK), "texts"),
]


def rows(kind):
    rng = np.random.default_rng(0)
    return {"rows": rng.normal(size=(120, 6)), "images": rng.uniform(size=(120, 8, 8, 1)), "texts": TEXTS}[kind]


@pytest.mark.parametrize(("encoder", "kind"), CASES, ids=[type(encoder).__name__ for encoder, _ in CASES])
def test_a_fit_on_less_than_a_tenth_of_the_rows_warns(encoder, kind):
    X = rows(kind)
    encoder = clone(encoder).fit(X)
    with pytest.warns(UserWarning, match=rf"{type(encoder).__name__} was fitted on 120 rows.* 11: .*FrozenEstimator"):
        encoder.fit(X[:11])


def test_no_word_where_nothing_is_lost():
    X, y = rows("rows"), np.arange(120) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = AutoEncoderTransformer(2, **QUICK).fit(X)
        make_pipeline(FrozenEstimator(fitted), LogisticRegression()).fit(X[:10], y[:10])
        clone(fitted).fit(X[:10])
        fitted.fit(X[:12])  # a tenth
        fitted = AutoEncoderTransformer(2, warm_start=True, **QUICK).fit(X)
        fitted.fit(X[:10])  # goes on
        fitted.partial_fit(X[:10])
        tuned = FineTuneClassifier(AutoEncoderTransformer(2, **QUICK), max_epochs=1, random_state=0).fit(X, y)
        tuned.fit(X[:10], y[:10])  # a classifier is what its labels make of it
    with pytest.warns(UserWarning, match="FrozenEstimator"):
        make_pipeline(AutoEncoderTransformer(2, **QUICK).fit(X), LogisticRegression()).fit(X[:10], y[:10])


def test_files_remember(tmp_path):
    X = rows("rows")
    for encoder in (PCAEncoder(2), AutoEncoderTransformer(2, **QUICK)):
        skrep.save(encoder.fit(X), tmp_path / "encoder.skrep")
        with pytest.warns(UserWarning, match="was fitted on 120 rows"):
            skrep.load(tmp_path / "encoder.skrep").fit(X[:10])


@pytest.mark.parametrize("encoder", [Word2VecTransformer, MaskedLMTransformer])
def test_texts_never_stand_in_a_repr(encoder):
    made = encoder(unlabeled=TEXTS)
    pipe = make_pipeline(made, LogisticRegression())
    for printed in (made, pipe):
        assert "unlabeled=<120 rows>" in repr(printed)
        assert "sleeps" not in repr(printed) + printed._repr_html_()
    assert made.get_params()["unlabeled"] is TEXTS
    assert pipe.get_params()[f"{encoder.__name__.lower()}__unlabeled"] is TEXTS
    assert clone(pipe)[0].unlabeled is TEXTS  # not copied
