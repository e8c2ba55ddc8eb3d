"""Small texts with labels."""

import numpy as np

GOOD, BAD = ["good", "great", "fine", "lovely"], ["bad", "awful", "poor", "dull"]


def reviews(n, seed=0):
    """Texts of one opinion word among others, and which opinion it is."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    others = ["a", "film", "of", "the", "day", "we", "saw", "it"]
    texts = []
    for label in y:
        words = list(rng.choice(others, 6))
        words.insert(int(rng.integers(7)), str(rng.choice((BAD, GOOD)[label])))
        texts.append(" ".join(words))
    return texts, np.array(["bad", "good"])[y]
