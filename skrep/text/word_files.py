"""Files about words: vectors in the formats of word2vec and GloVe, and the questions that vectors are judged by."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["read_analogies", "read_binary", "read_pairs", "read_text", "write_word2vec_format"]


def write_word2vec_format(path: str | os.PathLike, words: Sequence[str], vectors: np.ndarray, *, binary: bool) -> None:
    """Words and vectors, behind a line that says how many of each there are."""
    for word in words:
        if not word or any(character in word for character in " \n\t\r\v\f\x85\u2028\u2029"):
            raise ValueError(f"{word!r} cannot stand in a word2vec file: white space separates words there.")
        if not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word):
            raise ValueError(f"{word!r} cannot stand in a word2vec file: a lone surrogate is not UTF-8.")
    with open(path, "wb") as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for word, vector in zip(words, vectors, strict=True):
            start = word.encode() + b" "
            if binary:
                file.write(start + vector.astype("<f4").tobytes() + b"\n")
            else:
                file.write(start + " ".join(map(str, vector)).encode() + b"\n")


def read_binary(file: Any, path: Path, limit: int | None, errors: str) -> tuple[list[str], np.ndarray]:
    """Words and vectors of an open file whose vectors are bytes; `path` is what errors call it."""
    header = file.readline(100).split()
    if len(header) != 2 or not all(part.isdigit() for part in header):
        raise ValueError(f"{path} does not begin with the number of words and of components; is binary=True right?")
    n_words, width = map(int, header)
    if not n_words or not width:
        raise ValueError(f"{path} holds no vectors.")
    n_words = n_words if limit is None else min(n_words, limit)
    size = path.stat().st_size
    if n_words * (4 * width + 1) > size:
        raise ValueError(f"{path} announces {n_words} words of {width} numbers, but has {size} bytes.")
    words, vectors = [], np.empty((n_words, width), np.float32)
    for i in range(n_words):
        letters = bytearray()
        while (letter := file.read(1)) != b" ":
            if not letter:
                raise ValueError(f"{path} ends within word {i}.")
            if letter != b"\n" or letters:  # what ends a vector, in some programs' files
                letters += letter
        data = file.read(4 * width)
        if len(data) < 4 * width:
            raise ValueError(f"{path} ends within the vector of word {i}.")
        words.append(_decoded(letters, errors, f"{path}, word {i}"))
        vectors[i] = np.frombuffer(data, "<f4")
    if limit is None and file.read(100).strip():
        raise ValueError(f"{path} goes on after the {n_words} words that it announces; is binary=True right?")
    return words, vectors


def _decoded(word: bytes | bytearray, errors: str, where: str) -> str:
    try:
        return word.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 ({error.reason}). Pass errors='replace'.") from None


def read_text(file: Any, path: Path, limit: int | None, errors: str) -> tuple[list[str], np.ndarray]:
    """Words and vectors of an open file of text, with a first line of two numbers or, as GloVe's, without it."""
    first = file.readline()
    header = first.split()
    if len(header) == 2 and all(part.isdigit() for part in header):
        n_words: int | None
        n_words, width, n_lines = int(header[0]), int(header[1]), 1
    else:  # GloVe's
        file.seek(0)
        n_words, width, n_lines = None, len(header) - 1, 0
    if width < 1:
        raise ValueError(f"{path} holds no vectors: its first line is not a word and numbers, nor how many there are.")
    words: list[str] = []
    rows: list[np.ndarray] = []
    for line in file:
        n_lines += 1
        if limit is not None and len(words) >= limit:
            break
        parts = line.rstrip(b"\r\n ").split(b" ")
        try:
            row: np.ndarray = np.array(parts[-width:], np.float32)
        except ValueError:
            row = np.empty(0)
        if len(row) != width or len(parts) <= width:
            raise ValueError(f"{path}, line {n_lines}: expected a word and {width} numbers, between spaces.")
        words.append(_decoded(b" ".join(parts[:-width]), errors, f"{path}, line {n_lines}"))
        rows.append(row)
    if n_words is not None and len(words) != (n_words if limit is None else min(n_words, limit)):
        raise ValueError(f"{path} announces {n_words} words, but has {len(words)}{' or more' if limit else ''}.")
    if not rows:
        raise ValueError(f"{path} holds no vectors.")
    return words, np.stack(rows)


def read_pairs(path: Path) -> Iterator[tuple[str, str, float]]:
    """Two words and a score from each line, between tabs."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                word, other, score = line.split("\t")
                yield word, other, float(score)
            except ValueError:
                raise ValueError(f"{path}, line {number}: expected two words and a number, between tabs.") from None


def read_analogies(path: Path) -> list[tuple[str, list[list[str]]]]:
    """Sections by name, each with its questions of four words."""
    sections: list[tuple[str, list[list[str]]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith(":"):
            sections.append((line[1:].strip(), []))
        elif words := line.split():
            if len(words) != 4 or not sections:
                raise ValueError(f"{path}, line {number}: expected ': section' or four words.")
            sections[-1][1].append(words)
    return sections
