"""Word2VecTransformer: same bits everywhere, what it learns, and how it sits among scikit-learn's tools."""

import hashlib
import itertools
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline

import skrep
import skrep.text.stream
import skrep.words.learning
from skrep import Word2VecTransformer
from skrep.exceptions import DivergedError
from skrep.solvers.word2vec_steps import CompiledWeights
from skrep.text import POOLINGS, SubwordTokenizer, WordVectors

ROOT = Path(__file__).parents[2]

ALGORITHMS = ("skip-gram", "cbow")
LOSSES = ("negative_sampling", "hierarchical_softmax")
KINDS = {
    f"{algorithm}, {loss}{', subwords' if subwords else ''}": {
        "algorithm": algorithm, "loss": loss, "subwords": subwords, "n_buckets": 500,
    }
    for algorithm, loss, subwords in itertools.product(ALGORITHMS, LOSSES, (None, (2, 4)))
}  # fmt: skip
every_kind = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)

TOPICS = [
    ["anchor", "harbour", "mast", "sailor", "tide", "reef", "deck", "keel", "buoy", "ferry"],
    ["oven", "butter", "yeast", "dough", "sugar", "salt", "pastry", "crust", "flour", "cake"],
    ["goal", "referee", "penalty", "striker", "pitch", "league", "cup", "keeper", "corner", "match"],
]
COMMON = ["the", "of", "and", "some", "with", "then", "while", "there"]


def topical(n_documents, n_words=20, seed=0):
    """Texts on one of three topics each, and which; half of their words are common to all."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_documents) % 3
    words = [
        np.where(rng.random(n_words) < 0.5, rng.choice(TOPICS[topic], n_words), rng.choice(COMMON, n_words))
        for topic in y
    ]
    return [" ".join(document) for document in words], y


TEXTS, TOPIC = topical(60)


def quick(**options):
    return Word2VecTransformer(**{"n_components": 8, "max_epochs": 2, "min_count": 1, "random_state": 0} | options)


def same_vectors(first, second):
    return first.vectors_.words == second.vectors_.words and np.array_equal(
        first.vectors_.vectors, second.vectors_.vectors
    )


def digest(features):
    return hashlib.sha256(np.ascontiguousarray(features)).hexdigest()


# --- the same bits ---------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("pooling", POOLINGS)
def test_fit_transform_is_fit_and_transform(options, pooling):
    texts = [*TEXTS, "", "unheardof", "the unheardof tide"]
    options = options | {"pooling": pooling, "min_count": 2}
    fitted = quick(**options).fit(texts)
    features = quick(**options).fit_transform(texts)
    assert features.dtype == np.float32
    assert features.shape == (len(texts), 8)
    np.testing.assert_array_equal(features, fitted.transform(texts))
    np.testing.assert_array_equal(features[::-7], fitted.transform(texts[::-7]))


@every_kind
def test_another_seed_gives_other_bits(options):
    assert not same_vectors(quick(**options).fit(TEXTS), quick(**options, random_state=1).fit(TEXTS))


@every_kind
def test_same_bits_from_a_stream_on_disk(options, monkeypatch):
    more, _ = topical(30, seed=1)
    options = options | {"validation_fraction": 0.2, "unlabeled": more, "min_count": 2}
    in_memory = quick(**options).fit(TEXTS)
    made, original = [], tempfile.NamedTemporaryFile
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **options: (made.append(1), original(**options))[1])
    monkeypatch.setattr(skrep.text.stream, "MOST_IN_MEMORY", 50)
    on_disk = quick(**options).fit(TEXTS)
    assert len(made) > 4  # as read, both together, without rare words, without what is held out
    assert same_vectors(in_memory, on_disk)
    assert in_memory.history_ == on_disk.history_
    for pooling in POOLINGS:
        of_memory, of_disk = (fitted.set_params(pooling=pooling).transform(TEXTS) for fitted in (in_memory, on_disk))
        np.testing.assert_array_equal(of_memory, of_disk)


@every_kind
def test_two_threads_learn_as_much_as_one(options):
    texts, _ = topical(600)
    one, two = (quick(**options, max_epochs=8, n_jobs=n).fit(texts).history_ for n in (1, 2))
    assert len(one) == len(two) == 8
    assert two[-1]["train_loss"] == pytest.approx(one[-1]["train_loss"], rel=0.05)
    falls = [history[0]["train_loss"] - history[-1]["train_loss"] for history in (one, two)]
    assert falls[0] > 0.02
    assert falls[1] > 0.5 * falls[0]


def test_random_state_instance_gives_a_new_fit_each_time():
    state = np.random.RandomState(0)
    first, second = (quick(random_state=state).fit(TEXTS) for _ in range(2))
    assert not same_vectors(first, second)
    assert same_vectors(first, quick(random_state=np.random.RandomState(0)).fit(TEXTS))


# --- what is learned -------------------------------------------------------------------------------------------------


@every_kind
def test_topics_are_found(options):
    texts, y = topical(900)
    labelled = np.concatenate([np.flatnonzero(y == topic)[:2] for topic in range(3)])
    encoder = Word2VecTransformer(16, **options, min_count=1, max_epochs=20, random_state=0)
    features = encoder.fit_transform(texts)
    for topic in TOPICS:
        for word in topic:
            assert {near for near, _ in encoder.vectors_.most_similar(word, topn=7)} <= {*topic}
    probe = LogisticRegression(max_iter=1000).fit(features[labelled], y[labelled])
    assert probe.score(features, y) > 0.97
    losses = [row["train_loss"] for row in encoder.history_]
    assert losses[-1] < 0.99 * losses[0]


def test_the_learned_is_not_there_before():
    """The measures of the test above tell random vectors from learned ones."""
    texts, y = topical(900)
    labelled = np.concatenate([np.flatnonzero(y == topic)[:2] for topic in range(3)])
    encoder = Word2VecTransformer(16, min_count=1, max_epochs=1, lr=1e-9, min_lr=0, random_state=0)
    features = encoder.fit_transform(texts)
    near = [{near for near, _ in encoder.vectors_.most_similar(topic[0], topn=7)} <= {*topic} for topic in TOPICS]
    assert not any(near)
    probe = LogisticRegression(max_iter=1000).fit(features[labelled], y[labelled])
    assert probe.score(features, y) < 0.9


def test_features_are_means_of_words():
    encoder = quick(standardize=False).fit(TEXTS)
    vectors = encoder.vectors_
    documents = [TEXTS[0], "tide", "tide tide unheardof reef", "unheardof", ""]
    expected = []
    for document in documents:
        known = [vectors[word].astype(np.float64) for word in document.split() if word in vectors]
        expected.append(np.mean(known, axis=0) if known else np.zeros(8))
    features = encoder.transform(documents)
    np.testing.assert_allclose(features, expected, rtol=1e-6, atol=1e-9)
    assert not features[3:].any()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("n_components", [8, 32])
def test_standardized_documents_are_at_a_distance_of_two_from_their_mean(pooling, n_components):
    texts, _ = topical(200)
    options = {"pooling": pooling, "n_components": n_components}
    plain, scaled = (quick(standardize=on, **options).fit_transform(texts).astype(np.float64) for on in (False, True))
    distances = [
        np.sqrt(np.square(features - features.mean(axis=0)).sum(axis=1).mean()) for features in (plain, scaled)
    ]
    assert distances[1] == pytest.approx(2, rel=1e-4)
    np.testing.assert_allclose(scaled, (plain - plain.mean(axis=0)) * 2 / distances[0], rtol=1e-3, atol=1e-3)


def test_unseen_words_have_vectors_by_their_parts():
    encoder = quick(subwords=(2, 4), n_buckets=500).fit(TEXTS)
    assert "tides" not in encoder.vectors_
    features = encoder.transform(["tides", "tide"])
    assert features[0].any()
    assert not np.array_equal(*features)
    assert not quick().fit(TEXTS).transform(["tides"]).any()


# --- words -----------------------------------------------------------------------------------------------------------


def counted(texts):
    counts = {}
    for word in " ".join(texts).split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def test_words_are_in_order_of_their_counts():
    vectors = quick().fit(TEXTS).vectors_
    counts = counted(TEXTS)
    assert dict(zip(vectors.words, vectors.counts.tolist(), strict=True)) == counts
    assert (np.diff(vectors.counts) <= 0).all()


@pytest.mark.parametrize("min_count", [1, 18, 60])
def test_min_count_counts_occurrences(min_count):
    counts = counted(TEXTS)
    kept = {word for word, n in counts.items() if n >= min_count}
    assert {*quick(min_count=min_count).fit(TEXTS).vectors_.words} == kept
    assert 0 < len(kept) < len(counts) or min_count == 1


def test_a_word_in_one_document_alone_may_be_frequent():
    assert "rare" in quick(min_count=3).fit([*TEXTS, "rare rare rare"]).vectors_
    assert "rare" not in quick(min_count=3).fit([*TEXTS, "rare rare"]).vectors_


def test_max_features_are_the_most_frequent():
    counts = counted(TEXTS)
    vectors = quick(max_features=10).fit(TEXTS).vectors_
    assert len(vectors) == 10
    assert vectors.counts.tolist() == sorted(counts.values(), reverse=True)[:10]
    assert all(counts[word] == n for word, n in zip(vectors.words, vectors.counts, strict=True))
    assert len(quick(max_features=10**6).fit(TEXTS).vectors_) == len(counts)


@pytest.mark.parametrize(("n_words", "least"), [(9_999, 1), (10_000, 2), (299_999, 2), (300_000, 5)])
def test_default_min_count_goes_with_the_size(n_words, least):
    rare = [f"r{n}x" for n in range(1, 7) for _ in range(n)]  # r1x once, ..., r6x six times
    document = [*rare, *("ab" * ((n_words - len(rare) + 1) // 2))][:n_words]
    vectors = quick(min_count=None, n_components=1, window=1, negative=1, max_epochs=1).fit([document]).vectors_
    assert [f"r{n}x" in vectors for n in range(1, 7)] == [n >= least for n in range(1, 7)]


def test_default_sample_is_a_rule_of_the_vocabulary():
    texts, _ = topical(60)
    n_words = len({*" ".join(texts).split()})
    texts = [text + " the" * 100 for text in texts]  # five words in six: a rule that reaches so small a vocabulary
    default = quick().fit(texts)
    assert same_vectors(default, quick(sample=10 / n_words).fit(texts))
    assert not same_vectors(default, quick(sample=0).fit(texts))
    many = [*texts, " ".join(f"n{i}" for i in range(12_000))]
    assert same_vectors(quick().fit(many), quick(sample=1e-3).fit(many))


def test_default_epochs_go_with_the_size(monkeypatch):
    n_words = len(" ".join(TEXTS).split())
    assert len(quick(max_epochs=None).fit(TEXTS).history_) == 30
    for words, epochs in ((7 * n_words, 7), (n_words, 5), (1000 * n_words, 30)):
        monkeypatch.setattr(skrep.words.learning, "DEFAULT_WORDS", words)
        assert len(quick(max_epochs=None).fit(TEXTS).history_) == epochs


@every_kind
def test_given_vocabulary(options):
    vocabulary = ["tide", "neverseen", "the", "reef", "oven"]
    encoder = quick(vocabulary=vocabulary, **options).fit(TEXTS)
    counts = counted(TEXTS)
    assert encoder.vectors_.words == vocabulary
    assert encoder.vectors_.counts.tolist() == [counts.get(word, 0) for word in vocabulary]
    assert np.isfinite(encoder.transform(TEXTS)).all()
    others = [[word for word in text.split() if word in vocabulary] for text in TEXTS]
    assert same_vectors(encoder, quick(vocabulary=vocabulary, **options).fit(others))


def test_a_given_vocabulary_has_a_tree_as_good_as_any():
    by_count = quick(loss="hierarchical_softmax").fit(TEXTS)
    by_letter = quick(loss="hierarchical_softmax", vocabulary=sorted(by_count.vectors_.words)).fit(TEXTS)
    costs = [(path_lengths(fitted) * fitted.vectors_.counts).sum() for fitted in (by_count, by_letter)]
    assert costs[0] == costs[1]


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [(["a", "a"], "'a'.*words"), ([1, 2], "words.*texts"), ("ab", "vocabulary='ab'"), ([], "vocabulary.*words")],
)
def test_vocabularies_that_cannot_be_used(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        quick(vocabulary=vocabulary).fit(TEXTS)


@every_kind
def test_stop_words_are_gone_before_windows_are_laid(options):
    stops = ["the", "of", "tide"]
    without = [" ".join(word for word in text.split() if word not in stops) for text in TEXTS]
    encoder = quick(stop_words=stops, **options).fit(TEXTS)
    assert same_vectors(encoder, quick(**options).fit(without))
    features = encoder.transform(["the tide of", "reef the oven"])
    np.testing.assert_array_equal(features[1:], encoder.transform(["reef oven"]))
    if options["subwords"] is None:
        assert not features[0].any()


def test_english_stop_words():
    assert not {"the", "of", "and", "with", "then"} & {*quick(stop_words="english").fit(TEXTS).vectors_.words}


# --- vectors that are given ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("binary", [False, True])
def test_given_vectors_are_used_as_they_are(pooling, binary, tmp_path):
    learned = quick(pooling=pooling).fit(TEXTS)
    given = quick(pooling=pooling, vectors=learned.vectors_).fit(TEXTS)
    assert given.history_ == []
    np.testing.assert_array_equal(given.transform(TEXTS), learned.transform(TEXTS))
    learned.vectors_.save_word2vec_format(tmp_path / "vectors", binary=binary)
    read = WordVectors.load_word2vec_format(tmp_path / "vectors", binary=binary)
    assert read.counts is None
    again = quick(pooling=pooling, vectors=read, n_components=3).fit(TEXTS)
    np.testing.assert_array_equal(again.transform(TEXTS), learned.transform(TEXTS))
    assert len(again.get_feature_names_out()) == 8


def test_given_vectors_cannot_be_learned_on():
    vectors = WordVectors(["tide", "reef"], np.eye(2))
    encoder = quick(vectors=vectors).fit(TEXTS)
    for call in (encoder.score, encoder.partial_fit, quick(vectors=vectors).partial_fit):
        with pytest.raises(ValueError, match=rf"{call.__name__}\b.*\bvectors="):
            call(TEXTS)
    with pytest.raises(ValueError, match=r"subwords.*vectors="):
        quick(vectors=vectors, subwords=(3, 6)).fit(TEXTS)
    np.testing.assert_array_equal(vectors.vectors, np.eye(2))


# --- documents without labels ----------------------------------------------------------------------------------------


@every_kind
def test_unlabeled_documents_are_learned_from(options):
    more, _ = topical(40, seed=5)
    more = [*more, "lagoon lagoon tide"]
    encoder = quick(unlabeled=more, **options).fit(TEXTS)
    together = quick(**options).fit(TEXTS + more)
    assert "lagoon" in encoder.vectors_
    assert encoder.n_documents_ == together.n_documents_ == len(TEXTS) + len(more)
    assert same_vectors(encoder, together)
    for pooling in POOLINGS:
        a, b = (fitted.set_params(pooling=pooling).transform(TEXTS) for fitted in (encoder, together))
        np.testing.assert_array_equal(a, b)
    features = quick(unlabeled=more, **options).fit_transform(TEXTS)
    np.testing.assert_array_equal(features, encoder.set_params(pooling="mean").transform(TEXTS))


def test_unlabeled_documents_in_a_pipeline():
    texts, y = topical(90)
    more, _ = topical(300, seed=2)
    pipe = make_pipeline(quick(unlabeled=more, max_epochs=10), LogisticRegression(max_iter=1000))
    assert clone(pipe)[0].unlabeled == more
    assert cross_val_score(pipe, texts, y, cv=3).mean() > 0.95
    again = pickle.loads(pickle.dumps(pipe.fit(texts, y)))
    np.testing.assert_array_equal(again.predict_proba(texts), pipe.predict_proba(texts))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("a text", r"\bunlabeled\b.*\bstr\b"),
        (5, r"\bunlabeled\b.*\bint\b"),
        ({"a": 1}, r"\bunlabeled\b.*\bdict\b"),
        ([None], r"document 0\b.*None"),
        ([1.5], r"document 0\b.*\b1\.5\b"),
    ],
)
def test_unlabeled_that_is_no_documents(bad, message):
    with pytest.raises(ValueError, match=message):
        quick(unlabeled=bad).fit(TEXTS)


def test_unlabeled_that_can_be_read_once_is_refused():
    """A second fit would go without it."""
    with pytest.raises(ValueError, match=r"\bunlabeled\b(?!\)).*iterator"):
        quick(unlabeled=iter(TEXTS)).fit(TEXTS)


# --- going on --------------------------------------------------------------------------------------------------------


@every_kind
def test_words_come_to_be_frequent(options):
    encoder = quick(min_count=3, **options).partial_fit([*TEXTS, "squid squid whale"])
    first = list(encoder.vectors_.words)
    assert "squid" not in first
    encoder.partial_fit(["squid whale urchin tide", "tide reef"])
    assert encoder.vectors_.words == [*first, "squid"]
    encoder.partial_fit(["whale urchin urchin tide squid squid"])
    assert encoder.vectors_.words[: len(first) + 1] == [*first, "squid"]
    assert {*encoder.vectors_.words[len(first) + 1 :]} == {"whale", "urchin"}
    place = encoder.vectors_.index
    assert [encoder.vectors_.counts[place[word]] for word in ("squid", "whale", "urchin")] == [5, 3, 3]
    assert encoder.vectors_.counts[place["tide"]] == counted(TEXTS)["tide"] + 3
    assert encoder.n_documents_ == len(TEXTS) + 4
    assert [row["epoch"] for row in encoder.history_] == [1, 2, 3]
    assert np.isfinite(encoder.score(TEXTS))
    assert np.isfinite(encoder.transform(["squid whale urchin"])).all()


def test_old_words_move_on_from_where_they_were():
    encoder = quick(sample=0).fit(TEXTS)
    before = encoder.vectors_
    encoder.partial_fit(["squid whale squid whale"])  # words that no old one is near
    n = len(before)
    # negatives change outputs alone, and there is no old input in those windows
    np.testing.assert_array_equal(encoder.vectors_.vectors[:n], before.vectors)
    assert encoder.vectors_.vectors[n:].any()


def test_no_new_words_beyond_max_features_or_in_a_given_vocabulary():
    new = ["squid squid squid tide of the reef"] * 99
    encoder = quick(max_features=5).partial_fit(TEXTS).partial_fit(new)
    assert len(encoder.vectors_) == 5
    assert encoder.set_params(max_features=6).partial_fit(new).vectors_.words[5:] == ["squid"]
    given = quick(vocabulary=["tide", "reef"]).partial_fit(TEXTS).partial_fit(new)
    assert given.vectors_.words == ["tide", "reef"]


def path_lengths(encoder):
    return np.diff(encoder._paths[1], prepend=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_tree_grows(algorithm):
    options = {"loss": "hierarchical_softmax", "algorithm": algorithm}
    encoder = quick(**options).partial_fit(["only only only"] if algorithm == "cbow" else TEXTS[:3])
    for new in (["one tide", "one"], ["two three four four four"], ["tide one"], TEXTS):
        encoder.partial_fit(new)
        paths, ends = encoder._paths
        codes = [tuple(path) for path in np.split(paths, ends[:-1])]
        assert len(codes) == len({*codes}) == len(encoder.vectors_)
        assert sum(0.5 ** len(code) for code in codes) == 1  # every leaf is a word
        below = {}  # what is asked at a node, wherever a path comes by
        for code in codes:
            for depth, step in enumerate(code):
                assert below.setdefault(step >> 1, code[:depth]) == code[:depth]
        assert len(below) == len(codes) - 1
        assert max(below) < len(encoder._outputs)
    assert np.isfinite(encoder.score(TEXTS))


@every_kind
def test_training_goes_on_after_loading(options, tmp_path):
    encoder = quick(min_count=2, **options).fit([*TEXTS, "squid"])
    skrep.save(encoder, tmp_path / "file")
    loaded, pickled = skrep.load(tmp_path / "file"), pickle.loads(pickle.dumps(encoder))
    more = ["squid squid tide whale whale", *topical(20, seed=3)[0]]
    for fitted in (encoder, loaded, pickled):
        fitted.partial_fit(more)
        assert "squid" in fitted.vectors_
        assert same_vectors(fitted, encoder)
        assert fitted.history_ == encoder.history_
        assert fitted.score(TEXTS) == encoder.score(TEXTS)
        np.testing.assert_array_equal(fitted.transform(TEXTS), encoder.transform(TEXTS))


def test_first_partial_fit_reads_no_unlabeled_documents():
    pytest.importorskip("tokenizers")
    unlabeled = ["zzz zzz zzz"] * 50
    encoder = quick(unlabeled=unlabeled, tokenizer=SubwordTokenizer(vocab_size=60)).partial_fit(TEXTS)
    assert encoder.tokenizer_.tokenize(["zzz tide"])[0][0] == "[UNK]"  # there is no z but in those


# --- what goes wrong -------------------------------------------------------------------------------------------------


class Torn:
    """Documents that end in an error."""

    def __iter__(self):
        yield from TEXTS
        raise OSError("the disk is gone")


class Stopped:
    """CompiledWeights.run that is interrupted at its n-th call."""

    def __init__(self, monkeypatch, n, error=KeyboardInterrupt):
        original, self.calls = CompiledWeights.run, 0

        def run(weights, *arguments):
            self.calls += 1
            if self.calls == n:
                raise error
            return original(weights, *arguments)

        monkeypatch.setattr(CompiledWeights, "run", run)


@every_kind
@pytest.mark.parametrize("call", ["fit", "fit_transform", "partial_fit"])
def test_a_failed_call_changes_nothing(options, call, monkeypatch):
    fresh, fitted = quick(**options), quick(**options).fit(TEXTS)
    before, bytes_before = dict(vars(fitted)), pickle.dumps(fitted)

    def fails(error, X):
        for encoder in (fresh, fitted):
            with pytest.raises(error):
                getattr(encoder, call)(X)
        assert not [name for name in vars(fresh) if name.endswith("_")]
        assert vars(fitted).keys() == before.keys()
        assert all(vars(fitted)[name] is value for name, value in before.items())
        assert pickle.dumps(fitted) == bytes_before

    fails(ValueError, [*TEXTS, None])
    fails(ValueError, "a text")
    fails(OSError, Torn())
    with monkeypatch.context() as patched:
        for error in (KeyboardInterrupt, MemoryError):
            for encoder in (fresh, fitted):
                Stopped(patched, 1, error)
                with pytest.raises(error):
                    getattr(encoder, call)([*TEXTS, "squid squid"])
                patched.undo()
            assert pickle.dumps(fitted) == bytes_before
    fails(ValueError, [*TEXTS, b"\xff"])
    fresh.set_params(lr=1e9)
    fitted.set_params(lr=1e9)
    before, bytes_before = dict(vars(fitted)), pickle.dumps(fitted)
    fails(DivergedError, TEXTS)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_in_one_of_two_threads_reaches_the_caller(error, monkeypatch):
    texts, _ = topical(900)
    fitted = quick(n_jobs=2).fit(texts)
    before = pickle.dumps(fitted)
    Stopped(monkeypatch, 5, error)
    with pytest.raises(error):
        fitted.fit(texts)
    assert pickle.dumps(fitted) == before


@every_kind
def test_too_large_a_learning_rate_is_told(options):
    with pytest.raises(DivergedError, match=r"lr=1e\+06"):
        quick(lr=1e6, **options).fit(TEXTS)


@every_kind
@pytest.mark.parametrize("texts", [["tide", "reef", "tide", ""], [["a"], ["b"]]], ids=str)
def test_no_word_near_another_is_told(options, texts):
    with pytest.warns(ConvergenceWarning, match="document.*words"):
        encoder = quick(**options).fit(texts)
    assert np.isnan(encoder.history_[-1]["train_loss"])
    assert np.isfinite(encoder.transform(texts)).all()
    assert np.isnan(encoder.score(texts))


def test_not_fitted():
    for call in ("transform", "score"):
        with pytest.raises(NotFittedError):
            getattr(quick(), call)(TEXTS)


@pytest.mark.parametrize(
    "change",
    [{"n_components": 9}, {"algorithm": "cbow"}, {"loss": "hierarchical_softmax"}, {"subwords": (2, 3)}, {"vectors":
     WordVectors(["a"], np.ones((1, 8)))}],
    ids=str,
)  # fmt: skip
def test_what_shapes_the_weights_cannot_change_before_going_on(change):
    encoder = quick().fit(TEXTS).set_params(**change)
    for call in (encoder.partial_fit, encoder.score):
        with pytest.raises(ValueError, match=rf"(?=.*\b{next(iter(change))}=).*\b{call.__name__}\b"):
            call(TEXTS)


# --- files -----------------------------------------------------------------------------------------------------------


def saved_cases():
    cases = {name: quick(pooling="idf", **options) for name, options in KINDS.items()}
    cases["vectors alone"] = quick(vectors=WordVectors(["tide", "oven"], np.eye(2)))
    cases["lists of lone surrogates and NUL"] = quick(unlabeled=[["\ud800", "\0", "\udfff"] * 3])
    return cases


@pytest.mark.parametrize("name", [name for name in saved_cases() if "lists" not in name])
def test_save_and_load(name, tmp_path):
    pipe = make_pipeline(saved_cases()[name], LogisticRegression(max_iter=3000)).fit(TEXTS, TOPIC)
    skrep.save(pipe, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), pipe.predict_proba(TEXTS))
    assert loaded[0].vectors_.most_similar("tide") == pipe[0].vectors_.most_similar("tide")
    assert same_vectors(clone(loaded).fit(TEXTS, TOPIC)[0], pipe[0])
    skrep.save(loaded, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "file").read_bytes()


def fits():
    return " ".join(digest(quick(**options, pooling="sif").fit_transform(TEXTS)) for options in KINDS.values())


@pytest.mark.exhaustive
def test_fits_and_files_give_the_same_bits_in_a_fresh_process(tmp_path):
    pytest.importorskip("tokenizers")
    cases = saved_cases()
    cases["pieces"] = quick(tokenizer=SubwordTokenizer(vocab_size=80))
    cases["pieces, parts"] = quick(tokenizer=SubwordTokenizer("bpe", vocab_size=80), subwords=(1, 3), n_buckets=50)
    expected = {"fitted there": fits()}
    assert len({*expected["fitted there"].split()}) == len(KINDS)
    for name, encoder in cases.items():
        texts = [text.split() for text in TEXTS] if "lists" in name else TEXTS
        skrep.save(make_pipeline(encoder, LogisticRegression(max_iter=3000)).fit(texts, TOPIC), tmp_path / name)
        expected[name] = digest(encoder.transform(texts))
    code = (
        "import sys, pathlib, skrep; from tests.words.test_word2vec import *\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    texts = [text.split() for text in TEXTS] if 'lists' in path.name else TEXTS\n"
        "    print(path.name, digest(skrep.load(path)[0].transform(texts)), sep='|')\n"
        "print('fitted there', fits(), sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert dict(line.split("|") for line in done.stdout.splitlines()) == expected


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "byte_bpe"])
def test_pieces_of_words(model):
    pytest.importorskip("tokenizers")
    given = SubwordTokenizer(model, vocab_size=300)
    encoder = quick(tokenizer=given).fit(TEXTS)
    assert not hasattr(given, "json_")  # parameters stay as they were
    pieces = encoder.tokenizer_.tokenize(["tide of the reef"])[0]
    assert {*pieces} <= {*encoder.vectors_.words}
    np.testing.assert_array_equal(encoder.transform(["tide of the reef"]), encoder.transform([pieces]))
    fitted_before = quick(tokenizer=encoder.tokenizer_).fit(TEXTS)
    assert same_vectors(fitted_before, encoder)
    with pytest.raises(ValueError, match=r"tokenizer.*iterator"):
        quick(tokenizer=given).fit(iter(TEXTS))


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "byte_bpe"])
def test_the_same_pieces_are_learned_each_time(model):
    """Of words in which many pairs of letters are as frequent as others."""
    pytest.importorskip("tokenizers")
    rng = np.random.default_rng(0)
    texts = [" ".join("".join(rng.choice([*"aeioubcdfgklmnprst"], 5)) for _ in range(30)) for _ in range(60)]
    first, *others = (SubwordTokenizer(model, vocab_size=500).fit(texts).tokenize(texts) for _ in range(3))
    assert all(pieces == first for pieces in others)


# --- among scikit-learn's tools --------------------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_pipeline_and_grid_search_in_two_processes():
    texts, y = topical(90)
    pipe = make_pipeline(quick(), LogisticRegression(max_iter=1000))
    grid = {
        "word2vectransformer__pooling": ["mean", "sif"],
        "word2vectransformer__algorithm": ["skip-gram", "cbow"],
        "word2vectransformer__unlabeled": [None, TEXTS],
    }
    one, two = (GridSearchCV(pipe, grid, cv=2, n_jobs=n, error_score="raise").fit(texts, y) for n in (1, 2))
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(one.predict_proba(texts), two.predict_proba(texts))


def test_beside_tf_idf():
    texts, y = topical(90)
    union = FeatureUnion([("words", quick(max_epochs=5)), ("tfidf", TfidfVectorizer())])
    features = union.fit_transform(texts)
    assert features.shape == (90, 8 + len(union["tfidf"].vocabulary_))
    np.testing.assert_array_equal(features[:, :8].toarray(), quick(max_epochs=5).fit_transform(texts))
    assert cross_val_score(make_pipeline(union, LogisticRegression(max_iter=1000)), texts, y).mean() > 0.95


def test_a_column_of_a_frame():
    frame = pd.DataFrame({"title": TEXTS[::-1], "price": np.arange(60.0), "text": TEXTS}, index=np.arange(60) * 3)
    columns = ColumnTransformer([("words", quick(), "text"), ("rest", "passthrough", ["price"])])
    features = columns.fit_transform(frame)
    np.testing.assert_array_equal(features[:, :8], quick().fit_transform(TEXTS))
    np.testing.assert_array_equal(features[:, 8], np.arange(60))
    shown = columns.set_output(transform="pandas").fit_transform(frame)
    assert list(shown.columns) == [f"words__word2vectransformer{i}" for i in range(8)] + ["rest__price"]
    assert list(shown.index) == list(frame.index)
    with pytest.raises(ValueError, match=r"DataFrame.*\(60, 1\).*df\['text'\]"):
        quick().fit(frame[["text"]])


def test_feature_names_and_frames():
    encoder = quick().set_output(transform="pandas")
    series = pd.Series(TEXTS, index=[f"d{i}" for i in range(60)])
    shown = encoder.fit_transform(series)
    names = [f"word2vectransformer{i}" for i in range(8)]
    assert list(encoder.get_feature_names_out()) == list(shown.columns) == names
    pd.testing.assert_frame_equal(shown, encoder.transform(series), check_exact=True)
    np.testing.assert_array_equal(shown.to_numpy(), quick().fit_transform(TEXTS))
