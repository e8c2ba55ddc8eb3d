"""Texts, parameters and files that nobody would write: a defined result or one plain error, never a crash."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import skrep
from skrep import Word2VecTransformer
from skrep.exceptions import ModelFileError
from skrep.persistence import read_state, write_state
from skrep.text import POOLINGS, WordVectors
from tests.naming import named
from tests.text.odd_texts import ODD_TEXTS
from tests.words.test_word2vec import KINDS, TEXTS, quick, same_vectors

# Each part of the machine code at least once; the others are run by -m exhaustive.
SOME = ("skip-gram, negative_sampling", "skip-gram, hierarchical_softmax, subwords", "cbow, hierarchical_softmax")
some_kinds = pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=() if name in SOME else pytest.mark.exhaustive)
        for name, options in KINDS.items()
    ],
)

ROOT = Path(__file__).parents[2]

# --- texts that give a result ----------------------------------------------------------------------------------------

DEFINED = {
    **ODD_TEXTS,
    "a word in each of two": ["tide reef", "oven yeast"],
    "lists": [["the", "tide"], [], ("the", "reef"), np.array(["the", "tide"])],
    "lists of odd words": [["", " ", "a b", "\n", "\ud800", "\0", "\0\0"], ["", "\0", "a b"]],
    "every code point": ["".join(map(chr, range(start, start + 4096))) for start in range(0, 0x110000, 4096)],
    "a million letters without a word": ["." * 10**6, "tide reef"],
}


@some_kinds
@pytest.mark.parametrize("case", DEFINED)
def test_odd_texts_have_features(case, options):
    texts = DEFINED[case]
    encoder = quick(**options)
    features = encoder.fit_transform(texts)
    assert features.shape == (len(texts), 8)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(encoder.transform(texts), features)
    assert np.isfinite(encoder.score(texts))
    assert all(isinstance(word, str) for word in encoder.vectors_.words)
    assert encoder.vectors_.most_similar(encoder.vectors_.words[0], topn=2) is not None
    learned = quick(**options).fit(TEXTS)  # what was not seen in training
    is_lists = not isinstance(texts[0], (str, bytes))
    for pooling in POOLINGS:
        others = learned.set_params(pooling=pooling).transform(texts)
        assert np.isfinite(others).all()
        known = [item.decode() if isinstance(item, bytes) else item for item in texts]
        known = [list(item) if is_lists else item.lower().split() for item in known]
        for document, row in zip(known, others, strict=True):
            if "tide" in document or "the" in document:
                assert row.any()
    learned.partial_fit(texts)
    assert np.isfinite(learned.transform(TEXTS)).all()


@some_kinds
def test_odd_words_survive_a_file(options, tmp_path):
    encoder = quick(**options).fit(DEFINED["lists of odd words"])
    skrep.save(encoder, tmp_path / "file")
    assert same_vectors(skrep.load(tmp_path / "file"), encoder)
    again = quick(checkpoint=tmp_path, **options).fit(DEFINED["lists of odd words"])
    assert quick(checkpoint=tmp_path, **options).fit(DEFINED["lists of odd words"]).resumed_from_ == (2, 0)
    assert same_vectors(again, encoder)


@some_kinds
def test_documents_without_a_known_word_are_zeros(options):
    empty = ["", " ", "\n\t", "...", "\u3000\u00a0", "\0"]
    for pooling in POOLINGS:
        encoder = quick(pooling=pooling, **options).fit([*TEXTS, *empty])
        assert not encoder.transform(empty).any()
        unknown = encoder.transform(["unheardof", "cafés unheardof"])
        assert unknown.any() == (options["subwords"] is not None)
        assert encoder.transform([]).shape == (0, 8)
        assert np.isfinite(encoder.transform(["tide"])).all()


@pytest.mark.parametrize("subwords", [(1, 1), (1, 2), (3, 6), (8, 9)])
def test_parts_of_words_of_one_letter(subwords):
    encoder = quick(subwords=subwords, n_buckets=7).fit(["a b c a b", "b a c"] * 9)
    features = encoder.transform(["a", "q", "", "qqq"])
    assert features[0].any()
    assert features[1].any() == (subwords[0] <= 2)  # "<q>" has no part of three letters but itself
    assert not features[2].any()
    assert np.isfinite(features).all()


def test_parts_longer_than_any_word_cost_nothing():
    """Work goes with the words, not with what a parameter allows."""
    long, short = (quick(subwords=(2, most), n_buckets=99).fit(TEXTS) for most in (10**6, 12))
    assert same_vectors(long, short)


@some_kinds
def test_one_word_many_times(options):
    with pytest.warns(ConvergenceWarning, match="document.*words"):
        encoder = quick(**options, max_epochs=1).fit(["word"] * 10**5)
    assert encoder.vectors_.counts.tolist() == [10**5]
    assert np.isfinite(encoder.transform(["word", ""])).all()
    features = quick(**options, max_epochs=1).fit_transform(["word word"] * 10**4)
    assert (features == features[0]).all()


@pytest.mark.exhaustive
def test_a_million_documents_of_one_word():
    for texts in (["word"] * 10**6, [f"w{i}" for i in range(10**6)]):
        with pytest.warns(ConvergenceWarning):
            features = quick(max_epochs=1).fit_transform(texts)
        assert features.shape == (10**6, 8)


@given(st.lists(st.one_of(st.text(), st.text("ab \0\ud800"), st.sampled_from(["", "tide reef the"])), max_size=8))
def test_any_text(texts):
    encoder = fitted_once()
    features = encoder.transform(texts)
    assert features.shape == (len(texts), 8)
    assert np.isfinite(features).all()
    for text, row in zip(texts, features, strict=True):
        np.testing.assert_array_equal(encoder.transform([text])[0], row)
    np.testing.assert_array_equal(encoder.set_params(n_jobs=2).transform(texts), features)
    encoder.set_params(n_jobs=None)
    quick(subwords=(1, 2), n_buckets=50, max_epochs=1, loss="hierarchical_softmax").fit([*texts, "tide reef the"])


FITTED = []


def fitted_once():
    if not FITTED:
        FITTED.append(quick(subwords=(2, 4), n_buckets=100, pooling="sif").fit(TEXTS))
    return FITTED[0]


# --- texts that are refused ------------------------------------------------------------------------------------------

REFUSED = {
    "a str": ("the tide", r"\bX\b.*\bstr\b"),
    "bytes": (b"the tide", r"\bX\b.*\bbytes\b"),
    "None": (None, r"\bX\b.*\bNoneType\b"),
    "a number": (5, r"\bX\b.*\bint\b"),
    "a dict": ({"a": 1}, r"\bX\b.*\bdict\b"),
    "a set": ({"a", "b"}, r"\bX\b.*\bset\b"),
    "a frame": (pd.DataFrame({"text": TEXTS}), r"DataFrame.*\(60, 1\).*df\['text'\]"),
    "two axes": (np.array([["a"], ["b"]]), r"ndarray.*\(2, 1\).*X\[:, 0\]"),
    "None among them": ([*TEXTS, None], r"document 60\b.*None"),
    "None first": ([None, *TEXTS], r"document 0\b(?:(?!list).)*None"),
    "NaN": ([*TEXTS, float("nan")], r"document 60\b.*\bnan\b"),
    "NA": (pd.Series([*TEXTS, pd.NA]), r"document 60\b.*\b(NA|nan)\b"),
    "NaT": ([*TEXTS, pd.NaT], r"document 60\b.*\bNaT\b"),
    "numbers": ([1, 2, 3], r"document 0\b(?:(?!list).)*\b1\b"),
    "a number among them": ([*TEXTS, 1.5], r"document 60\b.*\b1\.5\b"),
    "rows of numbers": (np.zeros((3, 4)), r"ndarray.*\(3, 4\).*[Nn]umbers"),
    "lists of numbers": ([[1, 2], [3]], r"document 0\b.*\blist\b.*\b1\b"),
    "lists with None": ([["a", None]], r"document 0\b.*\blist\b.*None"),
    "lists of lists": ([[["a"]]], r"document 0\b.*\blist\b.*\['a'\]"),
    "lists and texts": ([["a", "b"], "c"], r"document 1\b(?:(?!list|\().)*\btext\b.*\blist\b"),
    "texts and lists": (["c", ["a", "b"]], r"document 1\b(?:(?!text).)*\blist\b.*\btexts\b"),
    "bytes that are no text": ([b"\xff\xfe\xfa"], r"document 0\b.*utf-8"),
    "tensors": ([torch.ones(3)], r"document 0\b.*Tensor"),
    "series": ([pd.Series(["a", "b"])], r"document 0\b.*Series"),
    "dicts": ([{"text": "a"}], r"document 0\b.*\bdict\b"),
    "objects": ([object()], r"document 0\b.*\bobject\b"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_text_is_refused(case):
    X, message = REFUSED[case]
    fitted = fitted_once()
    fresh = quick()
    for call in (fresh.fit, fresh.fit_transform, fresh.partial_fit, fitted.transform, fitted.score, fitted.fit):
        with pytest.raises(ValueError, match=message) as caught:
            call(X)
        assert type(caught.value) is ValueError
        assert "\n" not in str(caught.value).strip()
        assert len(str(caught.value)) < 400
    assert not [name for name in vars(fresh) if name.endswith("_")]


@pytest.mark.parametrize(
    "texts", [[], [""], ["", " ", "\n"], ["...", "!?"], [[]], [[], []], [b""], iter([]), np.array([], str)], ids=named
)
@some_kinds
def test_no_word_at_all_is_told(texts, options):
    for call in ("fit", "fit_transform", "partial_fit"):
        with pytest.raises(ValueError, match=r"\b0\b.*words.*min_count="):
            getattr(quick(**options), call)(texts)


def test_nothing_but_stop_words_is_told():
    with pytest.raises(ValueError, match=r"\b5\b.*stop word"):
        quick(stop_words="english").fit(["the of and", "with the"])
    with pytest.raises(ValueError, match="min_count=5"):
        quick(min_count=5).fit(["tide reef"])


# --- calls that may crash ------------------------------------------------------------------------------------------


def outcome(call):
    try:
        result = call()
    except Exception as error:
        return type(error).__name__
    return "finite" if np.isfinite(result).all() else "not finite"


def tell(case, what, call):
    """Print what a call comes to; its name before it, for when nothing is left that could print."""
    print(case, what, end="|", flush=True)
    print(outcome(call), flush=True)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What the calls of this module come to in a process that machine code may take down."""
    code = (
        "import warnings; warnings.simplefilter('ignore'); from tests.words.test_hostile_text import *\n"
        f"run_all({str(tmp_path_factory.mktemp('edited'))!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]} {done.stderr[-800:]}"
    return {case: result for case, _, result in (line.partition("|") for line in done.stdout.splitlines())}


def run_all(folder):
    odd_parameters()
    edited_files(Path(folder, "files"))
    edited_runs(Path(folder, "runs"))


# --- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("negative", [10**12, 2**62, 2**63, 10**30])
def test_too_many_negatives(negative):
    with pytest.raises((ValueError, MemoryError), match=r"negative|llocation"):
        quick(negative=negative).fit(TEXTS)


@pytest.mark.parametrize(
    "subwords", [(0, 3), (4, 3), (1, 2, 3), (3,), (), (-1, 3), ("a", "b"), (2.5, 3), (3, None), "ab", 3], ids=str
)
def test_subwords_that_cannot_be(subwords):
    with pytest.raises(ValueError, match=f"subwords={re.escape(repr(subwords))}"):
        quick(subwords=subwords).fit(TEXTS)


CHANGES = [
    {"n_buckets": 10**8}, {"n_buckets": 1}, {"subwords": (1, 9)}, {"subwords": None}, {"negative": 0},
    {"negative": -3}, {"window": -5}, {"window": 0}, {"pooling": "median"}, {"n_components": 3}, {"loss": "hinge"},
]  # fmt: skip
HUGE = [10**5, 2**31 - 1, 2**40, 2**62, 10**30]


def odd_parameters():
    """Fits with huge windows, and what is left of a fit when parameters change."""
    for window in HUGE:
        for kind, options in KINDS.items():
            tell(f"window={window}", kind, lambda w=window, o=options: quick(window=w, **o).fit_transform(TEXTS))
    for change in CHANGES:
        encoder = quick(subwords=(2, 4), n_buckets=500).fit(TEXTS).set_params(**change)
        for call in (encoder.transform, encoder.score):
            tell(f"{change}", call.__name__, lambda call=call: call(["tide unheardof", TEXTS[0]]))


def test_huge_windows_are_as_long_as_documents(outcomes):
    found = {case: result for case, result in outcomes.items() if case.startswith("window=")}
    assert len(found) == len(HUGE) * len(KINDS)
    for case, result in found.items():
        assert result == "finite" if case.startswith("window=100000 ") else result in ("finite", "ValueError"), case


def test_parameters_that_were_changed_after_fit(outcomes):
    found = {case: result for case, result in outcomes.items() if case.startswith("{")}
    assert len(found) == 2 * len(CHANGES)
    assert {*found.values()} <= {"finite", "ValueError"}, found


# --- files -----------------------------------------------------------------------------------------------------------


def of_vectors(**changes):
    def edit(encoder):
        for name, change in changes.items():
            setattr(encoder.vectors_, name, change(getattr(encoder.vectors_, name)))

    return edit


def of_encoder(**changes):
    def edit(encoder):
        for name, change in changes.items():
            setattr(encoder, name, change(getattr(encoder, name)))

    return edit


def short(array):
    return array[:1].copy()


def wide(array):
    return np.zeros((len(array), 3), array.dtype)


def paths(nodes=lambda a: a, ends=lambda a: a):
    return of_encoder(_paths=lambda pair: (nodes(pair[0]), ends(pair[1])))


# what is not as a fit leaves it: (kind, edit); must be refused wherever it would be used
EDITS = {
    "outputs short": ("plain", of_encoder(_outputs=short)),
    "outputs wide": ("plain", of_encoder(_outputs=wide)),
    "outputs flat": ("plain", of_encoder(_outputs=np.ravel)),
    "outputs float64": ("plain", of_encoder(_outputs=np.float64)),
    "outputs none": ("plain", of_encoder(_outputs=lambda a: None)),
    "outputs text": ("plain", of_encoder(_outputs=lambda a: "x")),
    "outputs short, tree": ("tree", of_encoder(_outputs=short)),
    "paths in a model without": ("plain", of_encoder(_paths=lambda _: (np.full(99, 10**6, np.int32), np.arange(99)))),
    "paths gone": ("tree", of_encoder(_paths=lambda _: None)),
    "nodes too large": ("tree", paths(lambda a: a + np.int32(10**8))),
    "nodes negative": ("tree", paths(lambda a: a - np.int32(10**8))),
    "nodes float": ("tree", paths(np.float64)),
    "nodes float NaN": ("tree", paths(lambda a: a * np.nan)),
    "ends too large": ("tree", paths(ends=lambda a: a + 10**9)),
    "ends negative": ("tree", paths(ends=np.negative)),
    "ends falling, unsigned": ("tree", paths(ends=lambda a: np.append(a[-1:], a[1:]).astype(np.uint64))),
    "ends float": ("tree", paths(ends=np.float64)),
    "ends few": ("tree", paths(ends=short)),
    "inputs few": ("parts", of_encoder(_inputs=short)),
    "inputs none left": ("parts", of_encoder(_inputs=lambda a: a[:0])),
    "inputs wide": ("parts", of_encoder(_inputs=wide)),
    "inputs flat": ("parts", of_encoder(_inputs=np.ravel)),
    "inputs gone": ("parts", of_encoder(_inputs=lambda _: None)),
    "inputs in a model without": ("plain", of_encoder(_inputs=lambda _: np.zeros((1, 8), np.float32))),
    "buckets": ("parts", of_encoder(n_buckets=lambda _: 10**8)),
    "buckets, both": ("parts", of_encoder(n_buckets=lambda _: 10**8, _fitted_with=lambda d: d | {"n_buckets": 10**8})),
    "buckets negative": ("parts", of_encoder(n_buckets=lambda _: -5)),
    "no negatives": ("plain", of_encoder(negative=lambda _: 0)),
    "no negatives, parts": ("parts", of_encoder(negative=lambda _: 0)),
    "negative negatives": ("parts", of_encoder(negative=lambda _: -3)),
    "window negative": ("plain", of_encoder(window=lambda _: -5)),
    "parts of nothing": ("parts", of_encoder(subwords=lambda _: (-9, 9))),
    "counts few": ("plain", of_vectors(counts=short)),
    "counts gone": ("plain", of_vectors(counts=lambda _: None)),
    "counts text": ("plain", of_vectors(counts=lambda a: a.astype(str))),
    "vectors few": ("plain", of_vectors(vectors=short)),
    "vectors flat": ("plain", of_vectors(vectors=np.ravel)),
    "vectors text": ("plain", of_vectors(vectors=lambda a: a.astype(str))),
    "vectors narrow": ("plain", of_vectors(vectors=lambda a: a[:, :0])),
    "words few": ("plain", of_vectors(words=lambda a: a[:2])),
    "words twice": ("plain", of_vectors(words=lambda a: [a[0], *a[:-1]])),
    "words numbers": ("plain", of_vectors(words=lambda a: list(range(len(a))))),
    "vectors a text": ("plain", of_encoder(vectors_=lambda _: "x")),
    "document counts many": ("plain", of_encoder(_document_counts=lambda _: np.ones(10**4, int))),
    "rare words twice": ("plain", of_encoder(_rare_words=lambda _: ["a"] * 9)),
    "rare counts few": ("plain", of_encoder(_rare_words=lambda _: ["a"], _rare_counts=lambda _: np.full((2, 0), -1))),
    "direction": ("plain", of_encoder(_direction=lambda a: a[:2])),
    "direction of two axes": ("plain", of_encoder(_direction=lambda a: np.zeros((3, 3), np.float32))),
    "scales gone": ("plain", of_encoder(_scales=lambda _: {})),
    "seed a text": ("plain", of_encoder(_seed=lambda _: "x")),
    "fitted with nothing": ("plain", of_encoder(_fitted_with=lambda _: {})),
    "history a number": ("plain", of_encoder(history_=lambda _: 5)),
}
EDITED = {"plain": {}, "tree": {"loss": "hierarchical_softmax"}, "parts": {"subwords": (2, 4), "n_buckets": 20_000}}
RUN_EDITS = {
    "outputs short": ("outputs", short),
    "outputs wide": ("outputs", wide),
    "outputs float64": ("outputs", np.float64),
    "inputs few": ("inputs", lambda a: a[: len(a) // 2]),
    "inputs few of many": ("inputs", lambda a: a[:40]),
    "inputs wide": ("inputs", wide),
    "epoch negative": ("epoch", lambda _: -1),
    "epoch far": ("epoch", lambda _: 99),
    "epoch a text": ("epoch", lambda _: "x"),
    "block far": ("block", lambda _: 10**6),
    "block negative": ("block", lambda _: -3),
    "history a number": ("history", lambda _: 5),
    "history long": ("history", lambda _: [{"epoch": 1, "train_loss": 1.0}] * 99),
    "seed a text": ("seed", lambda _: "x"),
    "loss none": ("loss", lambda _: None),
    "inputs none": ("inputs", lambda _: None),
}


def edited_files(folder):
    """Each edited file, saved, loaded and asked for all that it can do."""
    folder.mkdir()
    others = [*TEXTS, "squid squid unheardof whale", "q"]
    for number, (name, (kind, edit)) in enumerate(EDITS.items()):
        encoder = quick(min_count=2, **EDITED[kind]).fit(TEXTS)
        edit(encoder)
        path = folder / str(number)
        try:
            skrep.save(encoder, path)
            skrep.load(path)
        except (TypeError, ValueError, ModelFileError) as error:
            print(f"file, {name}, all", type(error).__name__, sep="|")
            continue
        calls = {
            "transform": lambda e: e.transform(others),
            "sif": lambda e: e.set_params(pooling="sif").transform(others),
            "score": lambda e: e.score(others),
            "partial_fit": lambda e: e.partial_fit(others).transform(others),
        }
        for call, do in calls.items():
            tell(f"file, {name},", call, lambda do=do, path=path: do(skrep.load(path)))


def edited_runs(folder):
    """Each edited checkpoint, gone on from."""
    for kind, options in EDITED.items():
        for number, (name, (key, change)) in enumerate(RUN_EDITS.items()):
            where = folder / f"{kind}{number}"
            quick(checkpoint=where, **options).fit(TEXTS)
            (path,) = where.glob("*.skrep")
            state = read_state(path)
            # as if it had been interrupted after an epoch
            state |= {"epoch": 1, "block": 0, "history": state["history"][:1]}
            state[key] = change(state[key])
            write_state(path, state)
            encoder = quick(checkpoint=where, **options)
            tell(f"run, {kind},", name, lambda encoder=encoder: encoder.fit_transform(TEXTS))


def test_edited_files_crash_nothing(outcomes):
    found = {tuple(case.split(", ")[1:]): result for case, result in outcomes.items() if case.startswith("file, ")}
    assert {case[:-1] for case in found} == {tuple(name.split(", ")) for name in EDITS}
    # weights that do not belong together are refused wherever they are used
    for (name, *_, call), result in found.items():
        if name.split()[0] in ("outputs", "paths", "nodes", "ends") and call in ("score", "partial_fit"):
            assert result.endswith("Error"), (name, call)
        if name in ("inputs few", "inputs none left", "inputs gone", "inputs wide", "buckets", "buckets negative"):
            assert result == "ValueError", (name, call)
    assert sum(result.endswith("Error") for result in found.values()) > 80


def test_edited_checkpoints_crash_nothing(outcomes):
    found = {case: result for case, result in outcomes.items() if case.startswith("run, ")}
    assert len(found) == len(EDITED) * len(RUN_EDITS)
    for case, result in found.items():
        assert result == "finite" or result.endswith("Error"), case
        if " inputs " in case or " outputs " in case:  # told and passed over, as a damaged file is, or refused
            assert result in ("finite", "ValueError", "ModelFileError"), case


def test_words_and_vectors_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\b1\b.*\bvectors\b.*\(2, 3\)"):
        WordVectors(["a"], np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"vectors=\[\[1\.0\]\]"):
        Word2VecTransformer(vectors=[[1.0]]).fit(TEXTS)
    bad = WordVectors(["tide", "reef"], np.array([[np.nan, 1], [1, 1]]))
    assert len(KINDS) == 8
    features = quick(vectors=bad, standardize=False).fit(TEXTS).transform(["reef"])
    np.testing.assert_array_equal(features, [[1, 1]])
