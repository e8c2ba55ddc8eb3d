"""word2vec's steps in torch: against the plain loop of one batch, and as good as machine code."""

import numpy as np
import pytest
import torch

from skrep.solvers.word2vec_steps import CompiledWeights, keep_probabilities
from skrep.solvers.word2vec_torch import TorchWeights
from tests.solvers.test_word2vec import (
    KEEP_ALL,
    KINDS,
    Draws,
    flat,
    loss_of,
    make_task,
    make_weights,
    some_documents,
    step,
    windows,
)

CPU = torch.device("cpu")


def always(task, word):
    """Let each negative be one word, so that nothing but the windows is drawn."""
    task.thresholds = np.zeros_like(task.thresholds)
    task.thresholds[word] = KEEP_ALL
    task.others = np.full_like(task.others, word)
    return task


def in_one_batch(task, documents, inputs, outputs, lr):
    """All windows see the weights of before; with `window` 1 none is drawn."""
    inputs, outputs = inputs.astype(np.float64), outputs.astype(np.float64)
    found = list(windows(task, documents, Draws(0)))
    terms = [term for some, _ in found for term in some]
    loss = loss_of(terms, inputs, outputs)
    step(terms, inputs, outputs, task.shares_error or not task.uses_bags, lr)
    return loss, sum(n for _, n in found), inputs, outputs


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("negative", [0, 4, 6], ids=["rare", "in the text", "beside it"])
@pytest.mark.parametrize(
    "documents",
    [[[1, 2]], [[3, 4, 5]], [[4, 4]], [[1], [2], [3]], [[], [1, 2], [], [0, 4, 0], [3]]],
    ids=["two words", "three words", "twice", "single words", "documents"],
)
def test_a_batch_is_that_of_a_plain_loop(kind, documents, negative):
    task = always(make_task(window=1, **kind), negative)
    inputs, outputs = make_weights(task)
    for lr in (0.02, 0.0):
        weights = TorchWeights(task, inputs, outputs, CPU)
        loss, n = weights.run(*flat(documents), lr, 7)
        if not any(len(document) > 1 for document in documents):
            assert (loss, n) == (0, 0)
            expected = inputs, outputs
        else:
            naive_loss, naive_n, *expected = in_one_batch(task, documents, inputs, outputs, lr)
            assert n == naive_n
            assert loss == pytest.approx(naive_loss, rel=1e-5)
        for got, right in zip(weights.weights(), expected, strict=True):
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, right, rtol=2e-5, atol=2e-6)


def test_the_same_seed_gives_the_same_bits():
    task = make_task()
    task.keep[:] = np.linspace(0.2, 1, 7) * KEEP_ALL
    runs = []
    for seed in (5, 5, 6):
        weights = TorchWeights(task, *make_weights(task), CPU)
        runs.append((weights.run(*flat(some_documents()), 0.02, seed), *(w.tobytes() for w in weights.weights())))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_weights_are_copies():
    task = make_task()
    inputs, outputs = make_weights(task)
    weights = TorchWeights(task, inputs, outputs, CPU)
    weights.weights()[0][:] = 7
    np.testing.assert_array_equal(weights.weights()[0], inputs)
    first = inputs.copy()
    weights.run(*flat(some_documents()), 0.1, 0)
    np.testing.assert_array_equal(inputs, first)


def test_negatives_windows_and_words_left_out_are_as_frequent_as_in_machine_code():
    """The mean loss of many predictions at a rate of zero is the same but for the draws."""
    documents = [np.random.default_rng(0).integers(0, 7, 4000).tolist()]
    for kind in KINDS.values():
        task = make_task(window=4, **kind)
        task.keep[:] = np.linspace(0.3, 1, 7) * KEEP_ALL
        sides = [
            make.run(*flat(documents), 0.0, 3)
            for make in (CompiledWeights(task, *make_weights(task)), TorchWeights(task, *make_weights(task), CPU))
        ]
        (loss, n), (other_loss, other_n) = sides
        assert other_n == pytest.approx(n, rel=0.05)
        assert other_loss / other_n == pytest.approx(loss / n, rel=0.02)


def topics(seed, n_documents, n_words, length=40):
    """Documents, each of words of one of 4 topics, the most frequent with the lowest numbers."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_words // 4 + 1)
    draws = rng.choice(n_words // 4, (n_documents, length), p=share / share.sum())
    return (4 * draws + rng.integers(0, 4, (n_documents, 1))).tolist()


# The eight that the encoder trains by default.
DEFAULTS = {name: kind for name, kind in KINDS.items() if ("shared" in name) == ("cbow" in name and "words" in name)}


@pytest.mark.parametrize("kind", DEFAULTS.values(), ids=DEFAULTS)
@pytest.mark.parametrize("n_words", [40, pytest.param(400, marks=pytest.mark.exhaustive)])
def test_training_is_as_good_as_that_of_machine_code(kind, n_words):
    """Held-out loss after a few passes, with few words (of which a batch holds each many times) and with more."""
    documents, held_out = topics(0, 200, n_words), topics(1, 60, n_words)
    task = make_task(n_words, 3, **kind)
    counts = np.bincount(flat(documents)[0], minlength=n_words) + 1
    task.keep = keep_probabilities(counts, 10 / n_words)
    inputs, outputs = make_weights(task, 16, 0.02)
    outputs[:] = 0
    losses = []
    for weights in (CompiledWeights(task, inputs, outputs), TorchWeights(task, inputs, outputs, CPU)):
        loss, n = weights.run(*flat(held_out), 0.0, 1)
        losses.append([loss / n])
        for epoch in range(6):
            weights.run(*flat(documents), (0.075 if kind["shares_error"] else 0.025) * (1 - epoch / 6), epoch)
        loss, n = weights.run(*flat(held_out), 0.0, 1)
        losses[-1].append(loss / n)
    (before, compiled), (_, batched) = losses
    assert compiled < 0.8 * before  # there was something to learn
    assert 0.92 * compiled < batched < 1.05 * compiled


@pytest.mark.parametrize("kind", DEFAULTS.values(), ids=DEFAULTS)
def test_few_words_and_wide_windows_do_not_blow_up(kind):
    """Of a dozen words a batch has each hundreds of times, and the root of a tree in every prediction."""
    documents = topics(0, 100, 12)
    task = make_task(12, 10, **kind)
    inputs, outputs = make_weights(task, 16, 0.02)
    weights = TorchWeights(task, inputs, outputs, CPU)
    losses = []
    for epoch in range(4):
        loss, n = weights.run(*flat(documents), 0.075, epoch)
        losses.append(loss / n)
    assert losses[-1] < losses[0]
    assert max(np.abs(array).max() for array in weights.weights()) < 20
