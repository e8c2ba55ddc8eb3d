"""What a word2vec model predicts from what, and its weights on the CPU."""

from dataclasses import dataclass

import numpy as np

__all__ = ["CompiledWeights", "Task", "keep_probabilities", "negative_tables"]


@dataclass
class Task:
    """What is predicted from what.

    Attributes
    ----------
    window : int
        Words to each side, at most.
    negative : int
        Negatives for each word; 0 is hierarchical softmax.
    is_cbow, uses_bags : bool
        Whether a word is predicted from the mean of those around it; and whether inputs are means at all.
    shares_error : bool
        Whether inputs of a mean share its gradient.
    keep : ndarray of shape (n_words,), uint32
        Probability of each word to stay in a text, of 2^32.
    thresholds, others : ndarray of shape (n_words,)
        The distribution of negatives: see :func:`skrep.solvers.word2vec.alias_table`.
    paths, path_ends : ndarray
        The tree: see :func:`skrep.solvers.huffman.huffman_paths`.
    parts, part_ends : ndarray
        Rows of the inputs that a word is the mean of.
    """

    window: int
    negative: int
    is_cbow: bool
    uses_bags: bool
    shares_error: bool
    keep: np.ndarray
    thresholds: np.ndarray
    others: np.ndarray
    paths: np.ndarray
    path_ends: np.ndarray
    parts: np.ndarray
    part_ends: np.ndarray


def keep_probabilities(counts: np.ndarray, sample: float) -> np.ndarray:
    """Probability of words to stay, of 2^32.

    It is sqrt(t / f) + t / f for a word that is the part f of all, as word2vec's program has it; the paper's formula
    differs.
    """
    if not sample:
        return np.full(len(counts), 2**32 - 1, np.uint32)
    ratio = sample * max(counts.sum(), 1) / np.maximum(counts, 1)
    keep: np.ndarray = (np.minimum(np.sqrt(ratio) + ratio, 1) * (2**32 - 1)).astype(np.uint32)
    return keep


def negative_tables(counts: np.ndarray, exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """The distribution of negatives: counts to a power."""
    from skrep.solvers.word2vec import alias_table

    weights = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** exponent, 0.0)
    thresholds, others = np.empty(len(counts), np.uint32), np.empty(len(counts), np.int32)
    alias_table(weights, thresholds, others)
    return thresholds, others


class CompiledWeights:
    """Weights on the CPU, and the steps in machine code that change them; threads may call :meth:`run` at once.

    Parameters
    ----------
    task : Task
        What is predicted from what.
    inputs, outputs : ndarray of shape (n_rows, n_components), float32
        The weights to begin with.
    """

    def __init__(self, task: Task, inputs: np.ndarray, outputs: np.ndarray):
        self._task, self._width = task, inputs.shape[1]
        self._inputs, self._outputs = _padded(inputs), _padded(outputs)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the weights, float32."""
        return self._inputs[:, : self._width].copy(), self._outputs[:, : self._width].copy()

    def run(self, tokens: np.ndarray, ends: np.ndarray, lr: float, seed: int) -> tuple[float, int]:
        """Train on some documents; a rate of 0 computes the loss alone.

        Returns
        -------
        loss : float
            Sum over predictions.
        n_predictions : int
            How many there were.
        """
        from skrep.solvers.word2vec import bags, skip_gram, subsample

        task = self._task
        kept, kept_ends = np.empty(len(tokens), np.int32), np.empty(len(ends), np.int64)
        tokens = np.ascontiguousarray(tokens).view(np.ndarray)  # a map of a file is a type of its own
        state = subsample(tokens, ends, task.keep, np.uint64(seed), kept, kept_ends)
        common = (
            kept, kept_ends, self._inputs, self._outputs, task.window, task.negative, task.thresholds, task.others,
            task.paths, task.path_ends,
        )  # fmt: skip
        if task.uses_bags:
            loss, n = bags(*common, task.parts, task.part_ends, task.is_cbow, task.shares_error, lr, np.uint64(state))
        else:
            loss, n = skip_gram(*common, lr, np.uint64(state))
        return float(loss), int(n)


def _padded(array: np.ndarray) -> np.ndarray:
    """A copy with rows of whole vector registers, each beginning where a register's worth of memory does."""
    from skrep.solvers.word2vec import LANES

    n, width = array.shape
    wide = -(-width // LANES) * LANES
    memory = np.zeros(n * wide + LANES, np.float32)
    start = -(memory.ctypes.data // 4) % LANES
    padded = memory[start : start + n * wide].reshape(n, wide)
    padded[:, :width] = array
    return padded
