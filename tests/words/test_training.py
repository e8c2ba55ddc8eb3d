"""Passes over words: blocks, learning rate, losses, and runs that are interrupted, killed and taken up again."""

import itertools
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skrep.words.training
from skrep.engine import duration
from skrep.engine.checkpoints import RunFolder
from skrep.exceptions import CheckpointWarning
from skrep.solvers.word2vec_steps import CompiledWeights
from skrep.text import TokenStream
from skrep.words.training import _block_starts, _words
from tests.words.test_word2vec import KINDS, TEXTS, every_kind, quick, same_vectors, topical

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of some 64 words, so that a few documents are many blocks."""
    monkeypatch.setattr(skrep.words.training, "LEAST_WORDS", 64)


@pytest.fixture
def runs(monkeypatch):
    return trained_blocks(monkeypatch)


def trained_blocks(monkeypatch):
    """(words, ends, learning rate, seed) of each block that was trained on."""
    seen = []
    original = CompiledWeights.run

    def run(weights, tokens, ends, lr, seed):
        if lr:
            seen.append((np.array(tokens), np.array(ends), lr, seed))
        return original(weights, tokens, ends, lr, seed)

    monkeypatch.setattr(CompiledWeights, "run", run)
    return seen


# --- blocks ----------------------------------------------------------------------------------------------------------


def stream_of(lengths):
    """Documents of these lengths, whose words are all different."""
    stream = TokenStream()
    ends = np.cumsum(lengths, dtype=np.int64)
    n = int(ends[-1]) if len(ends) else 0
    stream.append(np.arange(n, dtype=np.int32), ends)
    return stream.finish()


def require_blocks(lengths, size):
    """The words of all blocks are the words, in whole documents, but for those that are longer than a block."""
    stream = stream_of(lengths)
    starts = _block_starts(stream)
    document_of = np.repeat(np.arange(len(lengths)), lengths)
    seen, pieces = [], []
    for start, stop in itertools.pairwise(starts):
        tokens, ends = _words(stream, start, stop)
        assert 0 < len(tokens) <= 2 * size
        assert ends[-1] == len(tokens)
        assert (np.diff(ends) >= 0).all()
        seen += tokens.tolist()
        pieces += [piece.tolist() for piece in np.split(tokens, ends[:-1]) if len(piece)]
    assert seen == list(range(len(stream)))
    for piece in pieces:
        (document,) = {document_of[word] for word in piece}
        assert len(piece) == lengths[document] or lengths[document] > size


@given(st.lists(st.one_of(st.integers(0, 9), st.integers(0, 80)), max_size=60), st.integers(1, 30))
def test_every_word_is_in_one_block(lengths, size):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(skrep.words.training, "LEAST_WORDS", size)
        patched.setattr(skrep.words.training, "MOST_WORDS", size)
        require_blocks(lengths, size)


@pytest.mark.parametrize("lengths", [[1_000_000], [0, 5000, 0, 0, 2000, 0], [1] * 5000, [3000, 1] * 50], ids=str)
def test_every_word_is_in_one_block_of_the_true_size(lengths):
    n = sum(lengths)
    require_blocks(lengths, min(2**15, max(2**10, n // 64)))
    assert len(_block_starts(stream_of(lengths))) - 1 >= min(n // 2**11, 32)


def test_blocks_of_an_epoch(small_blocks, runs):
    encoder = quick(max_epochs=3).fit(TEXTS)
    counts = encoder.vectors_.counts
    n_blocks = len(runs) // 3
    assert n_blocks * 3 == len(runs) > 30
    epochs = [runs[i * n_blocks : (i + 1) * n_blocks] for i in range(3)]
    orders = [[tokens.tobytes() for tokens, *_ in epoch] for epoch in epochs]
    for epoch, order in zip(epochs, orders, strict=True):
        words = np.concatenate([tokens for tokens, *_ in epoch])
        np.testing.assert_array_equal(np.bincount(words, minlength=len(counts)), counts)
        assert sorted(order) == sorted(orders[0])
        assert sum(len(ends) for _, ends, *_ in epoch) == len(TEXTS)
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert len({seed for *_, seed in runs}) == len(runs)  # other draws each time


def test_a_document_longer_than_a_block_is_cut(small_blocks, runs):
    document = " ".join(TEXTS)
    quick(max_epochs=1).fit([document])
    assert len(runs) > 10
    assert sum(len(tokens) for tokens, *_ in runs) == len(document.split())


# --- learning rate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("min_lr", [1e-4, 0.02, 0.0])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_learning_rate_falls_with_the_words_read(min_lr, n_jobs, small_blocks, runs):
    quick(max_epochs=3, lr=0.04, min_lr=min_lr, n_jobs=n_jobs).fit(TEXTS)
    total = 3 * len(" ".join(TEXTS).split())
    assert sum(len(tokens) for tokens, *_ in runs) == total
    sizes = {lr: len(tokens) for tokens, _, lr, _ in runs}
    found = [lr for _, _, lr, _ in runs] if n_jobs == 1 else sorted((lr for _, _, lr, _ in runs), reverse=True)
    read, expected = 0, []
    for rate, (tokens, *_) in zip(found, runs, strict=True):
        expected.append(max(min_lr, 0.04 * (1 - read / total)))
        read += len(tokens) if n_jobs == 1 else sizes.get(rate, 0)
    if min_lr < 0.01 or n_jobs == 1:  # sizes go with rates where each has its own
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found[0] == 0.04
    assert found[-1] == pytest.approx(max(min_lr, found[-1]))
    assert found[-1] < 0.04 * 0.05 or found[-1] == min_lr


@pytest.mark.parametrize(
    ("options", "peak"),
    [({}, 0.025), ({"loss": "hierarchical_softmax"}, 0.025), ({"subwords": (2, 3)}, 0.025),
     ({"algorithm": "cbow"}, 0.075), ({"algorithm": "cbow", "correct_cbow": False}, 0.05),
     ({"algorithm": "cbow", "subwords": (2, 3)}, 0.05), ({"lr": 0.01}, 0.01)],
    ids=str,
)  # fmt: skip
def test_peak_learning_rates(options, peak, runs):
    quick(**options).fit(TEXTS).partial_fit(TEXTS)
    assert runs[0][2] == runs[-1][2] == peak  # partial_fit goes on at the full rate


# --- losses ----------------------------------------------------------------------------------------------------------


def exact_loss(encoder, documents):
    """Mean loss of window=1 and hierarchical softmax, where nothing is drawn: one sum after the other."""
    vectors, outputs = encoder.vectors_, encoder._outputs.astype(np.float64)
    paths = np.split(encoder._paths[0], encoder._paths[1][:-1])
    total, n = 0.0, 0
    for document in documents:
        words = [vectors.index[word] for word in document.split() if word in vectors]
        for at, word in enumerate(words):
            around = words[max(at - 1, 0) : at] + words[at + 1 : at + 2]
            if not around:
                continue
            if encoder.algorithm == "cbow":
                pairs = [(vectors.vectors[around].astype(np.float64).mean(axis=0), word)]
            elif encoder.subwords is not None:  # a word's parts predict those around
                pairs = [(vectors.vectors[word].astype(np.float64), other) for other in around]
            else:
                pairs = [(vectors.vectors[other].astype(np.float64), word) for other in around]
            for hidden, predicted in pairs:
                n += 1
                for step in paths[predicted]:
                    logit = hidden @ outputs[step >> 1]
                    total += np.logaddexp(0, logit if step & 1 else -logit)
    return total / n


@pytest.mark.parametrize(
    "options", [{}, {"algorithm": "cbow"}, {"algorithm": "cbow", "correct_cbow": False}, {"subwords": (2, 3)}], ids=str
)
def test_score_is_the_loss_of_a_naive_sum(options):
    encoder = quick(loss="hierarchical_softmax", window=1, sample=0, max_epochs=5, **options).fit(TEXTS)
    others, _ = topical(30, seed=9)
    others = ["", "tide", *others]
    assert encoder.score(others) == pytest.approx(-exact_loss(encoder, others), rel=1e-5)
    assert encoder.score(others) == encoder.score(iter(others))


@every_kind
def test_held_out_loss_is_that_of_documents_never_trained_on(options, runs, monkeypatch):
    held_out = []
    original = skrep.words.training.mean_loss
    monkeypatch.setattr(
        skrep.words.training,
        "mean_loss",
        lambda weights, stream, seed: (held_out.append(stream), original(weights, stream, seed))[1],
    )
    texts, _ = topical(300)
    encoder = quick(validation_fraction=0.2, max_epochs=4, sample=0, **options).fit(texts)
    assert len(held_out) == 4
    assert all(stream is held_out[0] for stream in held_out)
    assert held_out[0].n_documents == 60
    n_trained = sum(len(tokens) for tokens, *_ in runs) // 4
    assert n_trained + len(held_out[0]) == len(" ".join(texts).split())
    words = encoder.vectors_.words
    documents = [
        " ".join(words[token] for token in piece)
        for piece in np.split(held_out[0].tokens(0, len(held_out[0])), held_out[0].ends[:-1])
    ]
    assert {*documents} <= {*texts}
    trained = b"".join(tokens.tobytes() for tokens, *_ in runs)
    ids = [np.array([encoder.vectors_.index[w] for w in text.split()], np.int32).tobytes() for text in documents]
    assert not any(document in trained for document in ids)
    # the same but for what is drawn
    assert encoder.score(documents) == pytest.approx(-encoder.history_[-1]["valid_loss"], rel=0.03)
    losses = [row["valid_loss"] for row in encoder.history_]
    assert losses[-1] < losses[0]
    assert losses[-1] == pytest.approx(encoder.history_[-1]["train_loss"], rel=0.15)


def test_held_out_loss_with_nothing_drawn_is_the_score(monkeypatch):
    held_out = []
    original = skrep.words.training.mean_loss
    monkeypatch.setattr(
        skrep.words.training,
        "mean_loss",
        lambda w, stream, seed: (held_out.append(stream), original(w, stream, seed))[1],
    )
    encoder = quick(loss="hierarchical_softmax", window=1, sample=0, validation_fraction=0.3).fit(TEXTS)
    words = encoder.vectors_.words
    documents = [
        " ".join(words[token] for token in piece)
        for piece in np.split(held_out[0].tokens(0, len(held_out[0])), held_out[0].ends[:-1])
    ]
    assert len(documents) == 18
    assert -encoder.history_[-1]["valid_loss"] == encoder.score(documents)


def test_words_that_are_not_known_are_passed_over():
    encoder = quick(loss="hierarchical_softmax", window=1, sample=0).fit(TEXTS)
    assert np.isnan(encoder.score(["tide unheardof", "unheardof unheardof unheardof"]))
    assert encoder.score(["unheardof tide unheardof reef unheardof"]) == encoder.score(["tide reef"])


def test_score_changes_no_vector():
    encoder = quick().fit(TEXTS)
    before = pickle.dumps(encoder)
    assert encoder.score(TEXTS) == encoder.score(TEXTS)
    assert pickle.dumps(encoder) == before


@pytest.mark.parametrize("n", [1, 2])
def test_nothing_left_to_train_on_is_told(n):
    with pytest.raises(ValueError, match=rf"validation_fraction=0\.9\b.*\b{n}\b"):
        quick(validation_fraction=0.9).fit(TEXTS[:n])


def test_training_lowers_the_loss_that_score_finds():
    others, _ = topical(90, seed=4)
    scores = [quick(max_epochs=n).fit(TEXTS).score(others) for n in (1, 10)]
    assert scores[1] > scores[0]


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_progress(verbose, capsys, small_blocks):
    quick(verbose=verbose, validation_fraction=0.2).fit(TEXTS)
    shown = capsys.readouterr()
    told = shown.out + shown.err
    assert ("words" in told) == ("valid" in told) == (verbose > 0)
    assert ("epoch 2/2" in told) == (verbose > 1)
    assert ("2/2 epochs" in told) == (verbose > 0)


def test_a_long_fit_says_so(monkeypatch, caplog, small_blocks):
    caplog.set_level(logging.INFO, logger="skrep")
    quick().fit(TEXTS)
    assert not caplog.messages
    monkeypatch.setattr(duration, "time", SimpleNamespace(monotonic=itertools.count(0, 5).__next__))  # a block is 5 s
    encoder = quick(max_epochs=2).fit(TEXTS)
    (message,) = caplog.messages
    assert re.match(
        r"Word2VecTransformer: fit will take about \d+ minutes, for 2 epochs\..* set max_epochs\.$", message
    )
    encoder.partial_fit(TEXTS)
    assert len(caplog.messages) == 1


# --- interrupted -----------------------------------------------------------------------------------------------------


class Interrupted:
    """CompiledWeights.run that is interrupted at its n-th block: before it, after it, or by Ctrl-C itself."""

    def __init__(self, monkeypatch, n, how):
        original, numbers = CompiledWeights.run, itertools.count(1)

        def run(weights, tokens, ends, lr, seed):
            number = next(numbers) if lr else 0  # its own: another thread's block may begin before this one's end
            if number == n and how == "before":
                raise KeyboardInterrupt
            result = original(weights, tokens, ends, lr, seed)
            if number == n and how == "after":
                raise KeyboardInterrupt
            if number == n and how == "signal":
                os.kill(os.getpid(), signal.SIGINT)
            return result

        monkeypatch.setattr(CompiledWeights, "run", run)


@every_kind
@pytest.mark.parametrize("how", ["before", "after", "signal"])
@pytest.mark.parametrize("at", [1, 20, 45])
def test_ctrl_c_then_resume(options, how, at, tmp_path, monkeypatch, small_blocks):
    options = options | {"max_epochs": 3, "validation_fraction": 0.1}
    with monkeypatch.context() as patched:
        blocks = trained_blocks(patched)
        whole = quick(**options).fit(TEXTS)
    encoder = quick(**options, checkpoint=tmp_path)
    with monkeypatch.context() as patched:
        Interrupted(patched, at, how)
        with pytest.raises(KeyboardInterrupt):
            encoder.fit(TEXTS)
    assert not hasattr(encoder, "vectors_")
    resumed = quick(**options, checkpoint=str(tmp_path)).fit(TEXTS)
    assert same_vectors(resumed, whole)
    assert resumed.history_ == whole.history_
    if how == "signal":  # it waits for the end of its block
        epoch, block = resumed.resumed_from_
        assert epoch * len(blocks) // 3 + block == at


def test_checkpoints_within_an_epoch(tmp_path, monkeypatch, small_blocks):
    """The process dies, and what was written last is what there is."""
    monkeypatch.setattr(skrep.words.training, "CHECKPOINT_SECONDS", 0.0)
    whole = quick(max_epochs=3).fit(TEXTS)
    written = []
    original = RunFolder.write

    def write(run, state):
        written.append((state["epoch"], state["block"]))
        original(run, state)
        if len(written) == 30:
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write", write)
        with pytest.raises(SystemExit):
            quick(max_epochs=3, checkpoint=tmp_path).fit(TEXTS)
    assert written[:3] == [(0, 1), (0, 2), (0, 3)]
    assert not list(tmp_path.glob(".*tmp"))
    resumed = quick(max_epochs=3, checkpoint=tmp_path).fit(TEXTS)
    assert resumed.resumed_from_ == written[-1]
    assert same_vectors(resumed, whole)
    assert resumed.history_ == whole.history_


def test_two_threads_resume(tmp_path, monkeypatch, small_blocks):
    with monkeypatch.context() as patched:
        Interrupted(patched, 30, "signal")
        with pytest.raises(KeyboardInterrupt):
            quick(max_epochs=3, checkpoint=tmp_path, n_jobs=2).fit(TEXTS)
    resumed = quick(max_epochs=3, checkpoint=tmp_path, n_jobs=2).fit(TEXTS)
    assert resumed.resumed_from_ > (0, 0)
    assert len(resumed.history_) == 3
    assert resumed.history_[-1]["train_loss"] == pytest.approx(
        quick(max_epochs=3).fit(TEXTS).history_[-1]["train_loss"], rel=0.05
    )


def test_a_finished_run_is_loaded(tmp_path, runs):
    first = quick(checkpoint=tmp_path).fit(TEXTS)
    assert first.resumed_from_ is None
    n = len(runs)
    for change in ({}, {"pooling": "sif"}, {"standardize": False}, {"n_jobs": 2}, {"verbose": 0}, {"min_count": None}):
        again = quick(checkpoint=tmp_path).set_params(**change).fit(TEXTS)
        assert again.resumed_from_ == (2, 0)
        assert same_vectors(again, first)
        expected = quick().set_params(**change | {"n_jobs": 1}).fit_transform(TEXTS)
        np.testing.assert_array_equal(again.transform(TEXTS), expected)
        runs[:] = runs[:n]  # of the line above
    # words are what counts, not how they came to be
    as_lists = quick(checkpoint=tmp_path).fit([text.split() for text in TEXTS])
    assert as_lists.resumed_from_ == (2, 0)
    split = quick(checkpoint=tmp_path, unlabeled=TEXTS[50:]).fit(TEXTS[:50])
    assert split.resumed_from_ == (2, 0)
    np.testing.assert_array_equal(split.transform(TEXTS), first.transform(TEXTS))
    assert len(runs) == n


@pytest.mark.parametrize(
    "change",
    [{"n_components": 9}, {"algorithm": "cbow"}, {"loss": "hierarchical_softmax"}, {"window": 3}, {"negative": 4},
     {"ns_exponent": 0.5}, {"sample": 0.5}, {"min_count": 20}, {"max_features": 9}, {"vocabulary": ["tide", "reef"]},
     {"subwords": (2, 3)}, {"max_epochs": 3}, {"lr": 0.01}, {"min_lr": 0.01}, {"validation_fraction": 0.5},
     {"random_state": 1}, {"stop_words": ["the"]}, {"unlabeled": ["tide reef"]}, {"token_pattern": "[a-t]+"}],
    ids=str,
)  # fmt: skip
def test_other_parameters_are_another_run(change, tmp_path):
    quick(checkpoint=tmp_path).fit(TEXTS)
    other = quick(checkpoint=tmp_path).set_params(**change).fit(TEXTS)
    assert other.resumed_from_ is None
    assert same_vectors(other, quick().set_params(**change).fit(TEXTS))


def test_other_documents_are_another_run(tmp_path):
    quick(checkpoint=tmp_path).fit(TEXTS)
    for texts in (TEXTS[::-1], TEXTS[:-1], [*TEXTS, ""], [TEXTS[0] + " " + TEXTS[1], *TEXTS[2:]]):
        assert quick(checkpoint=tmp_path).fit(texts).resumed_from_ is None
    assert quick(checkpoint=tmp_path).fit(TEXTS).resumed_from_ == (2, 0)


def test_without_a_seed_the_run_keeps_the_one_it_drew(tmp_path, monkeypatch, small_blocks):
    drawn, draw_seed = [], skrep.words.word2vec.draw_seed
    monkeypatch.setattr("skrep.words.word2vec.draw_seed", lambda state: (drawn.append(draw_seed(state)), drawn[-1])[1])
    with monkeypatch.context() as patched:
        Interrupted(patched, 25, "signal")
        with pytest.raises(KeyboardInterrupt):
            quick(random_state=None, checkpoint=tmp_path).fit(TEXTS)
    resumed = quick(random_state=None, checkpoint=tmp_path).fit(TEXTS)
    assert resumed.resumed_from_ is not None
    whole = quick(random_state=None)
    monkeypatch.setattr("skrep.words.word2vec.draw_seed", lambda _: drawn[0])
    assert same_vectors(whole.fit(TEXTS), resumed)


def test_two_fits_of_one_run_train_it_once(tmp_path, runs, small_blocks):
    quick().fit(TEXTS)
    n = len(runs)
    runs.clear()
    fits = [quick(checkpoint=tmp_path) for _ in range(4)]
    threads = [threading.Thread(target=fit.fit, args=(TEXTS,)) for fit in fits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == n
    assert all(same_vectors(fit, fits[0]) for fit in fits)


def test_going_on_from_a_loaded_run(tmp_path):
    first, loaded = (quick(checkpoint=tmp_path).fit(TEXTS) for _ in range(2))
    assert loaded.resumed_from_ == (2, 0)
    assert same_vectors(first.partial_fit(TEXTS[:9]), loaded.partial_fit(TEXTS[:9]))
    assert quick(checkpoint=tmp_path).fit(TEXTS).history_ == first.history_[:2]  # the run is what it was


def test_a_grid_over_pooling_trains_once_a_fold(tmp_path, runs):
    texts, y = topical(90)
    pipe = make_pipeline(quick(checkpoint=tmp_path), LogisticRegression(max_iter=3000))

    def n_blocks(grid):
        runs.clear()
        fitted = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(texts, y)
        assert fitted.best_score_ > 0.5
        return len(runs)

    poolings = {"word2vectransformer__pooling": ["mean", "sif", "idf", "max"]}
    most = n_blocks(poolings)
    assert most == sum(2 * (len(_block_starts(stream_of([20] * n))) - 1) for n in (45, 45, 90))
    assert n_blocks(poolings) == 0
    assert n_blocks({"word2vectransformer__standardize": [True, False]}) == 0
    assert len(list(tmp_path.glob("*.skrep"))) == 3
    assert n_blocks({"word2vectransformer__window": [2, 3]}) > most
    assert len(list(tmp_path.glob("*.skrep"))) == 3 + 5  # two folds of each, and the better one on all


@pytest.mark.parametrize("damage", ["truncate", "flip", "text", "empty"])
def test_a_damaged_checkpoint_is_told_and_passed_over(damage, tmp_path):
    first = quick(checkpoint=tmp_path).fit(TEXTS)
    (path,) = tmp_path.glob("*.skrep")
    content = bytearray(path.read_bytes())
    content[content.index(b"dict")] ^= 1
    path.write_bytes({"truncate": content[:100], "flip": content, "text": b"hello", "empty": b""}[damage])
    with pytest.warns(CheckpointWarning, match=path.stem):
        again = quick(checkpoint=tmp_path).fit(TEXTS)
    assert again.resumed_from_ is None
    assert same_vectors(first, again)
    assert quick(checkpoint=tmp_path).fit(TEXTS).resumed_from_ == (2, 0)


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    encoder = quick(checkpoint=tmp_path / "file" / "runs")
    with pytest.raises(ValueError, match=r"checkpoint='.*runs'.*\bfolder\b"):
        encoder.fit(TEXTS)
    assert not hasattr(encoder, "vectors_")


# --- killed ----------------------------------------------------------------------------------------------------------

KILLED_EPOCHS = 40


def to_be_killed(kind, folder):
    return quick(**KINDS[kind], max_epochs=KILLED_EPOCHS, validation_fraction=0.1, checkpoint=folder)


def main(kind, folder):
    """A run in a process of its own, to be killed."""
    skrep.words.training.LEAST_WORDS = 64
    skrep.words.training.CHECKPOINT_SECONDS = 0.005  # so that most kills fall within epochs
    quick(**KINDS[kind], max_epochs=1).fit_transform(TEXTS)  # machine code is loaded
    print("ready", flush=True)
    to_be_killed(kind, folder).fit(topical(90)[0])


def survive_kills(kind, tmp_path, n_kills, rng):
    """Kill a run at random moments, resuming after each; returns how many runs had resumed."""
    texts, _ = topical(90)
    began = time.perf_counter()
    expected = to_be_killed(kind, None).fit(texts)
    duration = 2 * (time.perf_counter() - began)  # checkpoints take their time
    resumed = 0
    for kill in range(n_kills):
        folder = tmp_path / str(kill)
        code = f"from tests.words.test_training import main; main({kind!r}, {str(folder)!r})"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.1, 1.0) * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finished = to_be_killed(kind, folder).fit(texts)
        resumed += finished.resumed_from_ is not None
        assert same_vectors(finished, expected)
        assert finished.history_ == expected.history_
    return resumed


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_and_resumed_is_the_same_to_the_bit(tmp_path, small_blocks):
    survive_kills("skip-gram, negative_sampling", tmp_path, 1, np.random.default_rng(0))


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_and_resumed_twelve_times(kind, tmp_path, small_blocks):
    resumed = survive_kills(kind, tmp_path, 12, np.random.default_rng(1))
    print(f"{kind}: 12 of 12 bit-identical, {resumed} resumed from a checkpoint")
    assert resumed > 6
