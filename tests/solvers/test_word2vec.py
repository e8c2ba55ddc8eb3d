"""word2vec's steps against a plain loop in float64 that replays the same draws, and against finite differences."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import chisquare

from skrep.solvers.huffman import huffman_paths
from skrep.solvers.word2vec import (
    LANES,
    alias_table,
    bags,
    draw_negative,
    next_random,
    sigmoid,
    skip_gram,
    subsample,
)
from skrep.solvers.word2vec_steps import CompiledWeights, Task, keep_probabilities, negative_tables

KEEP_ALL = 2**32 - 1


# --- the reference ----------------------------------------------------------------------------------------------------


class Draws:
    """The generator, in Python's whole numbers."""

    def __init__(self, state):
        self.state = int(state)

    def number(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 32

    def below(self, n):
        return self.number() * n >> 32

    def negative(self, task):
        slot, fraction = divmod(self.number() * len(task.thresholds), 2**32)
        return slot if fraction <= task.thresholds[slot] else int(task.others[slot])


def rows_of(word, values, ends):
    return values[ends[word - 1] if word else 0 : ends[word]].tolist()


def outputs_of(word, task, draws):
    """Rows of the outputs and their labels for a predicted word."""
    if not task.negative:
        return [(step >> 1, 1 - (step & 1)) for step in rows_of(word, task.paths, task.path_ends)]
    drawn = [draws.negative(task) for _ in range(task.negative)]
    return [(word, 1), *((other, 0) for other in drawn if other != word)]


def windows(task, documents, draws):
    """The windows of documents: a list each of (rows whose mean is the input, row of the outputs, label)."""
    for document in documents:
        for at, word in enumerate(document):
            reach = 1 + draws.below(task.window)
            around = document[max(0, at - reach) : at] + document[at + 1 : at + 1 + reach]
            if not around:
                continue
            if not task.uses_bags:
                out = outputs_of(word, task, draws)
                yield [([near], row, label) for near in around for row, label in out], len(around)
            elif task.is_cbow:
                bag = [part for near in around for part in rows_of(near, task.parts, task.part_ends)]
                yield [(bag, row, label) for row, label in outputs_of(word, task, draws)], 1
            else:
                bag = rows_of(word, task.parts, task.part_ends)
                if task.negative:
                    drawn = [draws.negative(task) for _ in range(task.negative)]
                    out = [
                        pair
                        for near in around
                        for pair in [(near, 1), *((other, 0) for other in drawn if other != near)]
                    ]
                else:
                    out = [pair for near in around for pair in outputs_of(near, task, draws)]
                yield [(bag, row, label) for row, label in out], len(around)


def loss_of(terms, inputs, outputs):
    """The negative logarithm of the probability of what was seen."""
    logits = np.array([inputs[rows].mean(axis=0) @ outputs[row] for rows, row, _ in terms])
    signs = np.array([1 if label else -1 for *_, label in terms])
    return np.logaddexp(0, -signs * logits).sum()


def step(terms, inputs, outputs, shares_error, lr):
    """One step down from the weights as they are, for all terms together."""
    more_inputs, more_outputs = np.zeros_like(inputs), np.zeros_like(outputs)
    for rows, row, label in terms:
        hidden = inputs[rows].mean(axis=0)
        error = label - expit(hidden @ outputs[row])
        more_outputs[row] += error * hidden
        for part in rows:
            more_inputs[part] += error * outputs[row] / (len(rows) if shares_error else 1)
    inputs += lr * more_inputs
    outputs += lr * more_outputs


def naive(task, documents, inputs, outputs, lr, state):
    inputs, outputs = inputs.astype(np.float64), outputs.astype(np.float64)
    loss, n_predictions = 0.0, 0
    for terms, n in windows(task, documents, Draws(state)):
        loss += loss_of(terms, inputs, outputs)
        n_predictions += n
        step(terms, inputs, outputs, task.shares_error or not task.uses_bags, lr)
    return loss, n_predictions, inputs, outputs


# --- problems ---------------------------------------------------------------------------------------------------------

KINDS = {
    f"{algorithm}, {loss}, {'parts' if has_parts else 'words'}, {'shared' if shares_error else 'in full'}": {
        "is_cbow": algorithm == "cbow",
        "negative": 4 if loss == "negatives" else 0,
        "has_parts": has_parts,
        "shares_error": shares_error,
    }
    for algorithm in ("skip-gram", "cbow")
    for loss in ("negatives", "tree")
    for has_parts in (False, True)
    for shares_error in (False, True)
    if algorithm == "cbow" or has_parts or not shares_error
}

# Those in which a step is the gradient's.
EXACT = {name: kind for name, kind in KINDS.items() if "shared" in name or ("skip-gram" in name and "words" in name)}


def make_task(n_words=7, window=3, negative=4, is_cbow=False, has_parts=False, shares_error=False, seed=0):
    """A task over some words, where a word is itself and up to three of 5 buckets."""
    rng = np.random.default_rng(seed)
    counts = np.sort(rng.integers(1, 40, n_words))[::-1]
    parts = [[word, *(n_words + rng.integers(0, 5, rng.integers(0, 4) if has_parts else 0))] for word in range(n_words)]
    thresholds, others = negative_tables(counts, 0.75)
    paths, path_ends = huffman_paths(counts)
    return Task(
        window=window,
        negative=negative,
        is_cbow=is_cbow,
        uses_bags=is_cbow or has_parts,
        shares_error=shares_error,
        keep=np.full(n_words, KEEP_ALL, np.uint32),
        thresholds=thresholds,
        others=others,
        paths=paths,
        path_ends=path_ends,
        parts=np.concatenate(parts).astype(np.int32),
        part_ends=np.cumsum([len(rows) for rows in parts]),
    )


def make_weights(task, width=9, size=0.5, seed=0):
    rng = np.random.default_rng(seed)
    n_words = len(task.keep)
    inputs = rng.normal(size=(n_words + 5, width)).astype(np.float32) * np.float32(size)
    return inputs, rng.normal(size=(n_words, width)).astype(np.float32) * np.float32(size)


def flat(documents):
    tokens = np.array([word for document in documents for word in document], np.int32)
    return tokens, np.cumsum([len(document) for document in documents], dtype=np.int64)


def padded(array):
    wide = np.zeros((len(array), -(-array.shape[1] // LANES) * LANES), np.float32)
    wide[:, : array.shape[1]] = array
    return wide


def run(task, documents, inputs, outputs, lr, state):
    """The kernel's loss, number of predictions and weights."""
    wide_inputs, wide_outputs = padded(inputs), padded(outputs)
    common = (
        *flat(documents), wide_inputs, wide_outputs, task.window, task.negative, task.thresholds, task.others,
        task.paths, task.path_ends,
    )  # fmt: skip
    if task.uses_bags:
        of_bags = task.parts, task.part_ends, task.is_cbow, task.shares_error
        loss, n = bags(*common, *of_bags, lr, np.uint64(state))
    else:
        loss, n = skip_gram(*common, lr, np.uint64(state))
    width = inputs.shape[1]
    assert not wide_inputs[:, width:].any()  # padding stays zero
    assert not wide_outputs[:, width:].any()
    return loss, n, wide_inputs[:, :width], wide_outputs[:, :width]


def some_documents(n_words=7, seed=0):
    rng = np.random.default_rng(seed)
    lengths = [0, 1, 2, 3, 12, 0, 1, 25]
    return [rng.integers(0, n_words, length).tolist() for length in lengths]


def check(task, documents, lr, state, width=9, size=0.5):
    inputs, outputs = make_weights(task, width, size)
    loss, n, *weights = run(task, documents, inputs, outputs, lr, state)
    naive_loss, naive_n, *naive_weights = naive(task, documents, inputs, outputs, lr, state)
    assert n == naive_n
    assert loss == pytest.approx(naive_loss, rel=1e-5)
    for got, expected in zip(weights, naive_weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)
    return weights, (inputs, outputs)


# --- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_steps_are_those_of_a_plain_loop(kind):
    task = make_task(**kind)
    weights, before = check(task, some_documents(), 0.05, 2**63 + 12345)
    for after, first in zip(weights, before, strict=True):
        assert np.abs(after - first).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(
    documents=st.lists(st.lists(st.integers(0, 3), max_size=8), max_size=4),
    window=st.integers(1, 4),
    negative=st.integers(1, 7),
    width=st.sampled_from([1, 15, 16, 17, 33]),
    state=st.integers(0, 2**64 - 1),
)
@example(documents=[], window=1, negative=1, width=1, state=0)
@example(documents=[[0]], window=2, negative=3, width=16, state=1)
@example(documents=[[2, 2, 2, 2, 2]], window=4, negative=7, width=17, state=5)  # all one word
def test_any_documents_and_windows(kind, documents, window, negative, width, state):
    task = make_task(4, window, **kind | {"negative": negative if kind["negative"] else 0})
    check(task, documents, 0.03, state, width, size=0.25)  # where float32 sees 1 - sigmoid


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_rate_of_zero_changes_nothing(kind):
    task = make_task(**kind)
    weights, before = check(task, some_documents(), 0.0, 99)
    for after, first in zip(weights, before, strict=True):
        np.testing.assert_array_equal(after, first)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_documents_never_mix(kind):
    """Documents of one word predict nothing; windows that meet the ends of documents stay in them."""
    task = make_task(**kind)
    inputs, outputs = make_weights(task)
    loss, n, *weights = run(task, [[word] for word in (0, 1, 2, 3, 4)], inputs, outputs, 0.5, 3)
    assert (loss, n) == (0, 0)
    np.testing.assert_array_equal(weights[0], inputs)
    np.testing.assert_array_equal(weights[1], outputs)
    both, first = [[0, 1, 0], [2, 3]], [[0, 1, 0]]
    _, n, moved, _ = run(task, both, inputs, outputs, 0.5, 3)
    _, n_alone, alone, _ = run(task, first, inputs, outputs, 0.5, 3)
    assert n - n_alone == 2  # two words, each near the other alone
    assert not np.array_equal(moved[2:4], inputs[2:4])
    np.testing.assert_array_equal(alone[2:7], inputs[2:7])


@pytest.mark.parametrize("kind", EXACT.values(), ids=EXACT)
def test_a_step_is_down_the_gradient(kind):
    """Finite differences of the loss of one document, whose two windows move the weights by a hair."""
    task = make_task(4, 1, **kind)
    documents, state, lr, width = [[1, 2]], 77, 1e-3, 3
    inputs, outputs = make_weights(task, width)
    terms = [term for window, _ in windows(task, documents, Draws(state)) for term in window]
    assert terms
    *_, new_inputs, new_outputs = run(task, documents, inputs, outputs, lr, state)
    weights = [inputs.astype(np.float64), outputs.astype(np.float64)]
    for array, after in zip(weights, (new_inputs, new_outputs), strict=True):
        gradient = np.empty_like(array)
        before = array.copy()
        for place in np.ndindex(array.shape):
            array[place] += 1e-5
            high = loss_of(terms, *weights)
            array[place] -= 2e-5
            gradient[place] = (high - loss_of(terms, *weights)) / 2e-5
            array[place] += 1e-5
        assert np.abs(gradient).max() > 0.1
        np.testing.assert_allclose((before - after) / lr, gradient, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_huge_weights_stay_finite(kind):
    task = make_task(**kind)
    inputs, outputs = make_weights(task, size=1e4)
    loss, n, *weights = run(task, some_documents(), inputs, outputs, 0.05, 1)
    assert 0 < loss < np.inf
    assert all(np.isfinite(array).all() for array in weights)
    most = (1 + task.negative) if task.negative else np.diff(task.path_ends, prepend=0).max()
    assert loss <= n * most * -np.log(1e-6) * 1.001  # a probability counts as a millionth at least


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_compiled_weights(kind):
    """The same bits again, words left out as `subsample` does, weights as copies, from a read-only map too."""
    task = make_task(**kind)
    task.keep[:] = np.linspace(0.2, 1, 7) * KEEP_ALL
    documents = some_documents(seed=1)
    tokens, ends = flat(documents)
    inputs, outputs = make_weights(task)
    draws = Draws(5)
    kept = [[word for word in document if draws.number() <= task.keep[word]] for document in documents]
    assert sum(map(len, kept)) < len(tokens)
    naive_loss, naive_n, *naive_weights = naive(task, kept, inputs, outputs, 0.05, draws.state)
    tokens.setflags(write=False)
    results = []
    for _ in range(2):
        weights = CompiledWeights(task, inputs, outputs)
        np.testing.assert_array_equal(weights.weights()[0], inputs)
        results.append((weights.run(tokens, ends, 0.05, 5), *weights.weights()))
        weights.weights()[0][:] = 7
        np.testing.assert_array_equal(weights.weights()[0], results[-1][1])
    (loss, n), *trained = results[0]
    assert (loss, n) == results[1][0]
    assert n == naive_n
    assert loss == pytest.approx(naive_loss, rel=1e-5)
    for first, second, expected in zip(trained, results[1][1:], naive_weights, strict=True):
        assert first.tobytes() == second.tobytes()
        np.testing.assert_allclose(first, expected, rtol=2e-5, atol=2e-6)


# --- draws ------------------------------------------------------------------------------------------------------------


def test_the_generator_is_knuths():
    draws, state = Draws(42), np.uint64(42)
    for _ in range(100):
        number = draws.number()
        state = np.uint64(next_random(state))
        assert int(state) == draws.state
        assert number == int(state) >> 32


def test_sigmoid_to_rounding():
    x = np.concatenate([np.linspace(-15.8, 15.8, 20_001), np.linspace(-0.01, 0.01, 2001)]).astype(np.float32)
    got = np.array([sigmoid(value) for value in x])
    np.testing.assert_allclose(got, expit(x.astype(np.float64)), rtol=0, atol=2.5e-7)
    far = np.array([sigmoid(np.float32(value)) for value in (-1e30, -100, -20, 0, 20, 100, 1e30)])
    np.testing.assert_allclose(far, [0, 0, 0, 0.5, 1, 1, 1], rtol=0, atol=2.5e-7)
    assert np.isnan(sigmoid(np.float32(np.nan)))


def probabilities(thresholds, others):
    """What the tables draw, each slot with the same probability."""
    n = len(thresholds)
    share = (thresholds.astype(np.float64) + 1) / 2**32
    drawn = np.bincount(others, 1 - share, n) + share
    return drawn / n


@given(weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=60).filter(lambda weights: sum(weights) > 1e-3))
@example(weights=[1.0])
@example(weights=[3.0, 3.0, 3.0])
@example(weights=[0.0, 0.0, 1.0])
@example(weights=[1e-9, 1e9])
def test_alias_tables_hold_the_probabilities(weights):
    n = len(weights)
    thresholds, others = np.empty(n, np.uint32), np.empty(n, np.int32)
    alias_table(np.array(weights), thresholds, others)
    assert ((others >= 0) & (others < n)).all()
    expected = np.array(weights) / np.sum(weights)
    np.testing.assert_allclose(probabilities(thresholds, others), expected, rtol=0, atol=3 / 2**32)


@pytest.mark.parametrize("exponent", [0.75, 1.0, 0.0, -0.5])
def test_negatives_are_drawn_by_a_power_of_their_counts(exponent):
    counts = np.array([1000, 300, 299, 20, 5, 1, 0])
    thresholds, others = negative_tables(counts, exponent)
    expected = np.append(counts[:-1].astype(float) ** exponent, 0)
    expected /= expected.sum()
    np.testing.assert_allclose(probabilities(thresholds, others), expected, rtol=0, atol=3 / 2**32)


def test_drawn_negatives_have_their_distribution():
    weights = np.array([50.0, 20, 20, 5, 3, 1, 1, 0.5])
    thresholds, others = np.empty(8, np.uint32), np.empty(8, np.int32)
    alias_table(weights.copy(), thresholds, others)
    state, drawn = np.uint64(2026), []
    for _ in range(40_000):
        state = np.uint64(next_random(state))
        drawn.append(draw_negative(state, thresholds, others))
    expected = weights / weights.sum() * len(drawn)
    assert chisquare(np.bincount(drawn, minlength=8), expected).pvalue > 0.01
    assert chisquare(np.bincount(drawn, minlength=8), np.roll(expected, 1)).pvalue < 1e-9  # it would see


def test_windows_are_drawn_evenly():
    """In one long document the pairs for each reach come out as often as 1, ..., window are drawn."""
    task = make_task(3, 5, 1)
    inputs, outputs = make_weights(task)
    n = 20_000
    _, n_pairs, *_ = run(task, [np.random.default_rng(0).integers(0, 3, n).tolist()], inputs, outputs, 0.0, 11)
    assert n_pairs / n == pytest.approx(2 * 3, rel=0.01)  # 3 is the mean of 1, ..., 5


# --- words that are left out ------------------------------------------------------------------------------------------


@given(documents=st.lists(st.lists(st.integers(0, 4), max_size=8), max_size=6), state=st.integers(0, 2**64 - 1))
def test_subsampled_documents(documents, state):
    keep = np.array([0, 2**30, 2**31, 3 * 2**30, KEEP_ALL], np.uint32)
    tokens, ends = flat(documents)
    kept, kept_ends = np.full(len(tokens), -9, np.int32), np.empty(len(ends), np.int64)
    last = subsample(tokens, ends, keep, np.uint64(state), kept, kept_ends)
    draws = Draws(state)
    expected = [[word for word in document if draws.number() <= keep[word]] for document in documents]
    words, their_ends = flat(expected)
    np.testing.assert_array_equal(kept[: len(words)], words)
    np.testing.assert_array_equal(kept_ends, their_ends)
    assert int(last) == draws.state


def test_frequencies_that_are_left():
    """sqrt(t / f) + t / f, as the program of word2vec has it."""
    counts, sample = np.array([60_000, 30_000, 9_000, 900, 90, 10]), 1e-2
    f = counts / counts.sum()
    expected = np.minimum(np.sqrt(sample / f) + sample / f, 1)
    keep = keep_probabilities(counts, sample)
    np.testing.assert_allclose(keep / 2**32, expected, atol=1e-9)
    tokens = np.random.default_rng(0).permutation(np.repeat(np.arange(6, dtype=np.int32), counts))
    kept, kept_ends = np.empty(len(tokens), np.int32), np.empty(1, np.int64)
    subsample(tokens, np.array([len(tokens)]), keep, np.uint64(1), kept, kept_ends)
    stay = Counter(kept[: kept_ends[0]].tolist())
    for word, (count, share) in enumerate(zip(counts, expected, strict=True)):
        assert abs(stay[word] - count * share) <= 4 * np.sqrt(count * share * (1 - share))
    assert (keep_probabilities(counts, 0) == KEEP_ALL).all()


def test_words_that_never_occurred_are_kept():
    """Of a given vocabulary, or all of it."""
    assert keep_probabilities(np.array([1000, 1, 0]), 1e-3)[2] == KEEP_ALL
    assert (keep_probabilities(np.zeros(3, np.int64), 1e-3) > 0).all()
    thresholds, others = negative_tables(np.zeros(3, np.int64), 0.75)
    assert ((others >= 0) & (others < 3)).all()
    assert np.isfinite(probabilities(thresholds, others)).all()
