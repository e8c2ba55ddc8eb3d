"""Training steps of word2vec in machine code, for skip-gram and CBOW.

A word is predicted among few outputs: itself and negatives that are drawn from a distribution, or the turns of its
path through a Huffman tree. In skip-gram a window's context words are all compared with the same outputs, so that its
negatives are drawn once for all of them and its updates are small products of matrices (Ji et al. 2016,
arXiv:1604.04661). Every sum is over words, the learning rate is that of one pair. Threads may work on the same weights
(Recht et al. 2011, "Hogwild"); one thread alone gives the same bits each time.

Rows of the weights are padded with zeros to a multiple of :data:`LANES` numbers, which stay zeros.
"""

import numpy as np

from skrep.solvers.compiled import compiled

__all__ = ["LANES", "alias_table", "bags", "draw_negative", "next_random", "sigmoid", "skip_gram", "subsample"]

# Numbers in a vector register.
LANES = 16

_MULTIPLIER, _INCREMENT = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
_HALF_BITS = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)

# Factors of a probability that are multiplied before a logarithm is taken.
_SMALLEST = np.float32(1e-6)
_UNDERFLOW = 1e-200


@compiled
def next_random(state):  # type: ignore[no-untyped-def]
    """The next state of a linear congruential generator; its upper 32 bits are the number."""
    return state * _MULTIPLIER + _INCREMENT


@compiled
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)) to rounding of float32.

    Half a hyperbolic tangent, as a ratio of polynomials, becomes vector instructions. Outside of +-15.8 it is 0 or 1 to
    2e-7.
    """
    y = min(max(np.float32(0.5) * x, np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
    z = y * y
    p = z * np.float32(-2.76076847742355e-16) + np.float32(2.00018790482477e-13)
    p = z * p + np.float32(-8.60467152213735e-11)
    p = z * p + np.float32(5.12229709037114e-08)
    p = z * p + np.float32(1.48572235717979e-05)
    p = z * p + np.float32(6.37261928875436e-04)
    p = z * p + np.float32(4.89352455891786e-03)
    q = z * np.float32(1.19825839466702e-06) + np.float32(1.18534705686654e-04)
    q = z * q + np.float32(2.26843463243900e-03)
    q = z * q + np.float32(4.89352518554385e-03)
    return np.float32(0.5) + np.float32(0.5) * y * p / q


@compiled
def alias_table(weights, thresholds, others):  # type: ignore[no-untyped-def]
    """Walker's tables for drawing i with a probability in proportion to ``weights[i]``, in the time of two look-ups.

    Parameters
    ----------
    weights : ndarray of shape (n,), float64
        Weights; overwritten.
    thresholds : ndarray of shape (n,), uint32
        Filled: slot i is i itself for fractions up to this, of 2^32.
    others : ndarray of shape (n,), int32
        Filled: and this one above.
    """
    n = len(weights)
    weights *= n / weights.sum()
    stack = np.empty(n, np.int64)  # slots with too little from the left, with too much from the right
    n_small, n_large = 0, 0
    for i in range(n):
        if weights[i] < 1.0:
            stack[n_small] = i
            n_small += 1
        else:
            n_large += 1
            stack[n - n_large] = i
    thresholds[:] = 0xFFFFFFFF
    for i in range(n):
        others[i] = i
    while n_small and n_large:
        n_small -= 1
        small, large = stack[n_small], stack[n - n_large]
        thresholds[small] = np.uint32(min(weights[small] * 4294967296.0, 4294967295.0))
        others[small] = large
        weights[large] -= 1.0 - weights[small]
        if weights[large] < 1.0:
            n_large -= 1
            stack[n_small] = large
            n_small += 1


@compiled
def draw_negative(state, thresholds, others):  # type: ignore[no-untyped-def]
    """A word for the generator's state: its number times the words is a slot and a fraction."""
    product = (state >> _HALF_BITS) * np.uint64(len(thresholds))
    slot = np.int64(product >> _HALF_BITS)
    return slot if np.uint32(product & _LOW) <= thresholds[slot] else np.int64(others[slot])


@compiled
def subsample(tokens, ends, keep, state, kept, kept_ends):  # type: ignore[no-untyped-def]
    """Leave out words by chance.

    Parameters
    ----------
    tokens : ndarray of shape (n_tokens,), int32
        Words of documents that follow one another.
    ends : ndarray of shape (n_documents,), int64
        Where documents end.
    keep : ndarray of shape (n_words,), uint32
        Probability of each word to stay, of 2^32.
    state : uint64
        Of the generator.
    kept, kept_ends : ndarray
        Filled as `tokens` and `ends` are; of their sizes.

    Returns
    -------
    uint64
        The generator's state.
    """
    start, n_kept = 0, 0
    for document in range(len(ends)):
        for at in range(start, ends[document]):
            state = next_random(state)
            if np.uint32(state >> _HALF_BITS) <= keep[tokens[at]]:
                kept[n_kept] = tokens[at]
                n_kept += 1
        start = ends[document]
        kept_ends[document] = n_kept
    return state


@compiled
def _products(rows, index, m, others, others_index, n, result):  # type: ignore[no-untyped-def]
    """Inner products: ``result[j * n + k] = rows[index[j]] . others[others_index[k]]``."""
    width = rows.shape[1] // LANES * LANES  # no remainder for the compiler to think of
    for j in range(m):
        row = index[j]
        k = 0
        while k + 3 <= n:
            o0, o1, o2 = others_index[k], others_index[k + 1], others_index[k + 2]
            s0, s1, s2 = np.float32(0), np.float32(0), np.float32(0)
            for i in range(width):
                x = rows[row, i]
                s0 += x * others[o0, i]
                s1 += x * others[o1, i]
                s2 += x * others[o2, i]
            result[j * n + k], result[j * n + k + 1], result[j * n + k + 2] = s0, s1, s2
            k += 3
        while k < n:
            o0 = others_index[k]
            s0 = np.float32(0)
            for i in range(width):
                s0 += rows[row, i] * others[o0, i]
            result[j * n + k] = s0
            k += 1


@compiled
def _add(to, row, factors, start, step, rows, index, n):  # type: ignore[no-untyped-def]
    """``to[row] += sum over j < n of factors[start + j * step] * rows[index[j]]``."""
    width = to.shape[1] // LANES * LANES
    j = 0
    while j + 3 <= n:
        r0, r1, r2 = index[j], index[j + 1], index[j + 2]
        f0, f1, f2 = factors[start], factors[start + step], factors[start + 2 * step]
        for i in range(width):
            to[row, i] += f0 * rows[r0, i] + f1 * rows[r1, i] + f2 * rows[r2, i]
        j += 3
        start += 3 * step
    while j < n:
        r0, f0 = index[j], factors[start]
        for i in range(width):
            to[row, i] += f0 * rows[r0, i]
        j += 1
        start += step


@compiled
def _outputs(word, negative, thresholds, others, paths, path_ends, state, out, label):  # type: ignore[no-untyped-def]
    """Rows of the output weights for a word, and what is to be predicted there; how many, and the generator's state."""
    if negative == 0:
        n = 0
        for at in range(path_ends[word - 1] if word else 0, path_ends[word]):
            out[n] = paths[at] >> 1
            label[n] = np.float32(1 - (paths[at] & 1))
            n += 1
        return n, state
    out[0], label[0] = word, np.float32(1)
    n = 1
    for _ in range(negative):
        state = next_random(state)
        drawn = draw_negative(state, thresholds, others)
        if drawn != word:
            out[n], label[n] = drawn, np.float32(0)
            n += 1
    return n, state


@compiled
def _errors(logits, label, m, n):  # type: ignore[no-untyped-def]
    """Turn logits (m, n) into ``label - sigmoid``, the steps that lower the loss; the loss."""
    loss = 0.0
    for k in range(n):
        if label[k]:
            for j in range(m):
                logits[j * n + k] = -logits[j * n + k]
    for e in range(m * n):
        logits[e] = sigmoid(logits[e])
    for j in range(m):
        product = 1.0
        for k in range(n):
            product *= max(np.float32(1) - logits[j * n + k], _SMALLEST)
            if product < _UNDERFLOW:
                loss -= np.log(product)
                product = 1.0
        loss -= np.log(product)
    for k in range(n):
        if not label[k]:
            for j in range(m):
                logits[j * n + k] = -logits[j * n + k]
    return loss


@compiled
def skip_gram(  # type: ignore[no-untyped-def]
    tokens, ends, inputs, outputs, window, negative, thresholds, others, paths, path_ends, lr, state
):
    """Each word is predicted from every word around it.

    Parameters
    ----------
    tokens : ndarray of shape (n_tokens,), int32
        Words of documents that follow one another.
    ends : ndarray of shape (n_documents,), int64
        Where documents end.
    inputs, outputs : ndarray of shape (n_rows, width), float32
        The weights, which are updated. Rows of `outputs` are words, or the tree's inner nodes.
    window : int
        Words to each side, at most: as many as are drawn from 1, ..., `window` for each word.
    negative : int
        Negatives for each word; 0 takes the tree.
    thresholds, others : ndarray
        The distribution of negatives, from :func:`alias_table`.
    paths : ndarray, int32
        Words' paths from the root, one behind the other: twice the node, and 1 where the path turns right.
    path_ends : ndarray of shape (n_words,), int64
        Where paths end.
    lr : float
        Learning rate; 0 computes the loss alone.
    state : uint64
        Of the generator.

    Returns
    -------
    loss : float
        Sum over pairs of words of the negative logarithm of the predictions' probability.
    n_pairs : int
        Pairs of words.
    """
    most = negative + 1 if negative else _longest(path_ends)
    most_around = min(2 * window, _longest(ends))
    width = inputs.shape[1] // LANES * LANES
    copies = np.empty((most, width), np.float32)
    errors = np.empty(most_around * most, np.float32)
    label = np.empty(most, np.float32)
    out, context, all_of_them = np.empty(most, np.int64), np.empty(most_around, np.int64), np.arange(most)
    rate = np.float32(lr)
    loss, n_pairs, start = 0.0, 0, 0
    for document in range(len(ends)):
        end = ends[document]
        for at in range(start, end):
            state = next_random(state)
            reach = 1 + np.int64(((state >> _HALF_BITS) * np.uint64(window)) >> _HALF_BITS)
            m = 0
            for near in range(max(start, at - reach), min(end, at + reach + 1)):
                if near != at:
                    context[m] = tokens[near]
                    m += 1
            if m == 0:
                continue
            n, state = _outputs(tokens[at], negative, thresholds, others, paths, path_ends, state, out, label)
            for k in range(n):
                row = out[k]  # read once: for all the compiler knows, it lies in what is written to
                for i in range(width):
                    copies[k, i] = outputs[row, i]
            _products(inputs, context, m, copies, all_of_them, n, errors)
            loss += _errors(errors, label, m, n)
            n_pairs += m
            if rate:
                for e in range(m * n):
                    errors[e] *= rate
                for k in range(n):
                    _add(outputs, out[k], errors, k, n, inputs, context, m)
                for j in range(m):
                    _add(inputs, context[j], errors, j * n, 1, copies, all_of_them, n)
        start = end
    return loss, n_pairs


@compiled
def _longest(ends):  # type: ignore[no-untyped-def]
    longest = 0
    for i in range(len(ends)):
        longest = max(longest, ends[i] - (ends[i - 1] if i else 0))
    return longest


@compiled
def bags(  # type: ignore[no-untyped-def]
    tokens, ends, inputs, outputs, window, negative, thresholds, others, paths, path_ends, parts, part_ends,
    is_cbow, shares_error, lr, state,
):  # fmt: skip
    """Predictions from the mean of several inputs: CBOW's context, or the parts of which words are made.

    In CBOW each word is predicted from the mean of all parts of the words around it. In skip-gram the words around
    are predicted from the mean of a word's parts; negatives are drawn once, and count for each of them.

    Parameters
    ----------
    tokens, ends, inputs, outputs, window, negative, thresholds, others, paths, path_ends, lr, state
        As in :func:`skip_gram`.
    parts : ndarray, int32
        Rows of `inputs` that words are the mean of, one word behind the other.
    part_ends : ndarray of shape (n_words,), int64
        Where the parts of words end.
    is_cbow : bool
        Whether it is CBOW, or skip-gram.
    shares_error : bool
        Whether the gradient of the mean is divided among its inputs, as calculus has it, or each gets all of it, as in
        Mikolov's program (Irsoy et al. 2021, arXiv:2012.15332).

    Returns
    -------
    loss : float
        Sum over predictions of the negative logarithm of their probability.
    n_predictions : int
        Words that were predicted.
    """
    longest = _longest(path_ends) if negative == 0 else 1
    most_around = min(2 * window, _longest(ends))
    most = (1 if is_cbow else most_around) * longest + negative
    most_parts = (most_around if is_cbow else 1) * _longest(part_ends)
    width = inputs.shape[1] // LANES * LANES
    hidden = np.empty((2, width), np.float32)  # the mean, and the step that lowers the loss
    logits = np.empty(most, np.float32)
    label, times, out = np.empty(most, np.float32), np.empty(most, np.float32), np.empty(most, np.int64)
    bag, shares = np.empty(most_parts, np.int64), np.empty(most_parts, np.float32)
    first, second = np.zeros(1, np.int64), np.ones(1, np.int64)
    rate = np.float32(lr)
    loss, n_predictions, start = 0.0, 0, 0
    for document in range(len(ends)):
        end = ends[document]
        for at in range(start, end):
            state = next_random(state)
            reach = 1 + np.int64(((state >> _HALF_BITS) * np.uint64(window)) >> _HALF_BITS)
            low, high = max(start, at - reach), min(end, at + reach + 1)
            if high - low < 2:
                continue
            word = tokens[at]
            n_bag, n = 0, 0
            counted = most  # from here on outputs stand for several predictions
            if is_cbow:
                for near in range(low, high):
                    if near != at:
                        other = tokens[near]
                        for part in range(part_ends[other - 1] if other else 0, part_ends[other]):
                            bag[n_bag] = parts[part]
                            n_bag += 1
                n, state = _outputs(word, negative, thresholds, others, paths, path_ends, state, out, label)
                n_predictions += 1
            else:
                for part in range(part_ends[word - 1] if word else 0, part_ends[word]):
                    bag[n_bag] = parts[part]
                    n_bag += 1
                for near in range(low, high):
                    if near != at:
                        # without negatives: they follow, once for all
                        other = tokens[near]
                        if negative:
                            out[n], label[n] = other, np.float32(1)
                            n += 1
                        else:
                            more, state = _outputs(
                                other, 0, thresholds, others, paths, path_ends, state, out[n:], label[n:]
                            )
                            n += more
                n_around = high - low - 1
                n_predictions += n_around
                if negative:
                    counted = n
                for _ in range(negative):
                    state = next_random(state)
                    drawn = draw_negative(state, thresholds, others)
                    n_left = n_around
                    for k in range(n_around):
                        n_left -= out[k] == drawn
                    if n_left:
                        out[n], label[n], times[n] = drawn, np.float32(0), np.float32(n_left)
                        n += 1
            for i in range(width):
                hidden[0, i] = np.float32(0)
                hidden[1, i] = np.float32(0)
            share = np.float32(1) / np.float32(n_bag)
            for j in range(n_bag):
                shares[j] = share
            _add(hidden, 0, shares, 0, 1, inputs, bag, n_bag)
            _products(hidden, first, 1, outputs, out, n, logits)
            loss += _errors(logits, label, 1, n)
            for k in range(counted, n):
                loss -= (times[k] - 1) * np.log(max(np.float32(1) + logits[k], _SMALLEST))
                logits[k] *= times[k]
            if rate:
                for k in range(n):
                    logits[k] *= rate
                _add(hidden, 1, logits, 0, 1, outputs, out, n)
                for k in range(n):
                    _add(outputs, out[k], logits, k, 1, hidden, first, 1)
                shares[0] = share if shares_error else np.float32(1)
                for j in range(n_bag):
                    _add(inputs, bag[j], shares, 0, 1, hidden, second, 1)
        start = end
    return loss, n_predictions
