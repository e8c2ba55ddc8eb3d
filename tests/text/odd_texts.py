"""Texts that nobody would write, but that each have features; for the methods of texts alike."""

import numpy as np

LONG = "x" * 10**6
ODD_TEXTS = {
    "NUL": ["a\0b c\0 d", "\0", "a c"],
    "emoji": [
        "\N{CAT FACE} sat \N{CAT FACE}",
        "\N{WOMAN}\u200d\N{PERSONAL COMPUTER} sat",
        "a\N{VARIATION SELECTOR-16}b",
    ],
    "lone surrogates": ["a \ud800 b", "\udfff\ud800 a", "\ud83d\ude00 b"],
    "mixed scripts": ["Привет мир cat", "你好 世界 cat", "שלום cat عالم", "नमस्ते cat", "ǅ ﬁ İstanbul ß \U0001d518 cat"],
    "a word of a million letters": [f"{LONG} tide", f"tide {LONG}", "tide"],
    "control characters": ["a\x1bb\x07 c", "\x85\u2028\u2029", "\u202eevil a\ufeffb c"],
    "one document": ["the tide and the reef"],
    "one word repeated": ["tide " * 5000],
    "empty among others": ["", "tide reef", " \t\n\r\u3000", "", "tide"],
    "bytes": [b"the tide", b"the reef", b""],
    "subclasses of str": [np.str_("the tide"), np.str_("the reef")],
    "digits and underscores": ["1 22 333", "_ __ a_b", "3.14 1e9"],
}
