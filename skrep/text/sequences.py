"""Documents as sequences of tokens for a network: cut into windows, put together in batches, laid into rows."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skrep.backbones.transformer import Grid
from skrep.data import Source
from skrep.text.stream import TokenStream

__all__ = ["Sequences", "SpecialTokens", "TextSource", "in_own_rows", "packed"]

# Tokens that pass through a network at a time, and that are read at a time.
GRID_TOKENS, CHUNK_TOKENS = 2048, 2**15

# Rows have lengths that are multiples of this, so that sequences of one length meet the same kernels.
ROUND = 16


@dataclass(frozen=True)
class SpecialTokens:
    """Numbers of the tokens that stand for no text."""

    padding: int
    unknown: int
    begin: int  # [CLS]
    end: int  # [SEP]
    mask: int
    between: int = 1  # how many times `end` stands between the texts of a pair

    def numbers(self) -> list[int]:
        """All of them."""
        return [self.padding, self.unknown, self.begin, self.end, self.mask]


class Sequences(NamedTuple):
    """Sequences of tokens, one behind the other; those of a document follow one another."""

    tokens: Tensor  # (n_tokens,), int64
    types: Tensor  # (n_tokens,): 0, or 1 in the second text of a pair
    positions: Tensor  # (n_tokens,): in the sequence
    lengths: Tensor  # (n_sequences,), on the CPU: tokens in each
    of_documents: Tensor  # (n_documents,), on the CPU: tokens in the sequences of each
    numbers: Tensor  # (n_sequences,), on the CPU: which window of the data each is

    def grid(self, rows: np.ndarray, columns: np.ndarray, n_rows: int, length: int) -> tuple[Grid, Tensor]:
        """The sequences in rows, and where in them each token is: its number if rows lie one behind the other."""
        number = torch.arange(len(rows)).repeat_interleave(self.lengths).to(self.tokens.device)
        place = torch.from_numpy(rows * length + columns).to(number.device)[number] + self.positions

        def laid(values: Tensor, padding: int) -> Tensor:
            flat = values.new_full((n_rows * length,), padding)
            flat[place] = values
            return flat.view(n_rows, length)

        grid = Grid(laid(self.tokens, 0), laid(self.positions, 0), laid(self.types, 0), laid(number, -1))
        return grid, place

    def with_second_of(self, others: Tensor) -> "Sequences":
        """Pairs of which the second text is that of another pair; `others` (n_sequences,), on the CPU, says which."""
        lengths, types = self.lengths, self.types.cpu()
        ends = lengths.cumsum(0)
        number = torch.arange(len(lengths)).repeat_interleave(lengths)
        seconds = torch.zeros_like(lengths).index_add_(0, number, types)
        firsts = lengths - seconds
        joined = firsts + seconds[others]
        within = torch.arange(int(joined.sum())) - (joined.cumsum(0) - joined).repeat_interleave(joined)
        own = torch.arange(len(lengths)).repeat_interleave(joined)
        in_first = within < firsts[own]
        of_other = ends[others][own] - seconds[others][own] + within - firsts[own]
        at = torch.where(in_first, (ends - lengths)[own] + within, of_other).to(self.tokens.device)
        return self._replace(
            tokens=self.tokens[at],
            types=self.types[at],
            positions=within.to(self.tokens.device),
            lengths=joined,
            of_documents=joined,
        )

    def chosen(self, which: np.ndarray) -> tuple["Sequences", Tensor]:
        """Some of the sequences, and where in these the tokens of those are."""
        lengths = self.lengths.numpy()
        starts, some = (lengths.cumsum() - lengths)[which], lengths[which]
        shift = starts - (some.cumsum() - some)
        at = torch.from_numpy(np.arange(int(some.sum())) + np.repeat(shift, some)).to(self.tokens.device)
        part = torch.from_numpy(some)
        return Sequences(
            self.tokens[at], self.types[at], self.positions[at], part, part, self.numbers[torch.from_numpy(which)]
        ), at


def packed(sequences: Sequences, length: int) -> tuple[Grid, Tensor]:
    """Several sequences to a row, so that little of it is padding; see :meth:`Sequences.grid`."""
    from skrep.solvers.windows import fill_rows

    lengths = sequences.lengths.numpy()
    rows, columns = np.empty((2, len(lengths)), np.int64)
    n_rows = fill_rows(lengths, length, rows, columns)
    return sequences.grid(rows, columns, n_rows, length)


def in_own_rows(sequences: Sequences, max_length: int, tokens: int) -> Iterator[tuple[Grid, Tensor, Tensor]]:
    """One sequence to a row, those of like length together, in grids of a fixed shape for each length.

    What a network makes of a sequence is then the same whatever comes with it.

    Parameters
    ----------
    sequences : Sequences
        The sequences.
    max_length : int
        Tokens in a sequence, at most.
    tokens : int
        Places in a grid, about.

    Yields
    ------
    grid : Grid
        Some of the sequences.
    place : torch.Tensor
        Where in the grid their tokens are.
    at : torch.Tensor
        Where among `sequences` they are.
    """
    lengths = np.minimum(-(-sequences.lengths.numpy() // ROUND) * ROUND, max_length)
    for length in np.unique(lengths):
        alike = np.flatnonzero(lengths == length)
        n_rows = max(1, tokens // int(length))
        for start in range(0, len(alike), n_rows):
            part, at = sequences.chosen(alike[start : start + n_rows])
            rows = np.arange(len(part.lengths))
            grid, place = part.grid(rows, np.zeros_like(rows), n_rows, int(length))
            yield grid, place, at


class TextSource(Source):
    """Documents, or pairs of them, as windows of tokens; no token is left out.

    Parameters
    ----------
    first : TokenStream
        The documents.
    second : TokenStream or None
        Second texts, where documents are pairs.
    special : SpecialTokens
        What begins and ends sequences.
    max_length : int
        Tokens in a sequence, with those.
    ends_sentence : ndarray of shape (n_vocabulary,), bool
        Tokens behind which a document is best cut.
    """

    _rows: Tensor

    def __init__(
        self,
        first: TokenStream,
        second: TokenStream | None,
        special: SpecialTokens,
        max_length: int,
        ends_sentence: np.ndarray,
    ):
        self.special, self.is_pair = special, second is not None
        self._first, self._second = first, first if second is None else second
        room = max_length - self._n_special()
        lengths = np.diff(first.ends, prepend=0)
        if second is None:
            parts = _windows(first, np.full(len(lengths), room), ends_sentence)
            self._starts, self._stops, self._ends = parts
            self._second_starts = self._second_stops = np.zeros_like(self._starts)
        else:
            self._pair(lengths, np.diff(second.ends, prepend=0), room, ends_sentence)
        self._document_ends, self._ends_sentence = self._ends, ends_sentence
        self._rows = torch.arange(len(lengths))
        self.n_samples, self.shape = len(lengths), (max_length,)

    def _between(self) -> int:
        return self.special.between if self.is_pair else 0

    def _n_special(self) -> int:
        return 2 + self._between()

    def _with(self, rows: Tensor, counts: Tensor, **changes: Any) -> "TextSource":
        """Parts of the documents from the same streams; `counts` says how many parts each document has."""
        other = copy.copy(self)
        vars(other).update(changes, _rows=rows, n_samples=len(rows), facts=[])
        other.y, other.groups = (None if v is None else v.repeat_interleave(counts) for v in (self.y, self.groups))
        return other

    def _pair(self, lengths: np.ndarray, others: np.ndarray, room: int, ends_sentence: np.ndarray) -> None:
        """Windows of pairs. The shorter text has half of the room at most, the longer what is left.

        Of texts with several windows, those with the same number go together; those of the text that has fewer come
        again and again.
        """
        is_shorter = lengths <= others
        least = np.minimum(np.minimum(lengths, others), room // 2)
        rooms, second_rooms = np.where(is_shorter, least, room - least), np.where(is_shorter, room - least, least)
        parts = [
            _windows(stream, np.maximum(part, 1), ends_sentence)
            for stream, part in ((self._first, rooms), (self._second, second_rooms))
        ]
        numbers = [np.diff(ends, prepend=0) for _, _, ends in parts]
        most = np.maximum(*numbers)
        self._ends = most.cumsum()
        within = np.arange(most.sum()) - np.repeat(self._ends - most, most)
        spans = []
        for (starts, stops, ends), number in zip(parts, numbers, strict=True):
            which = np.repeat(ends - number, most) + within % np.repeat(number, most)
            spans += [starts[which], stops[which]]
        self._starts, self._stops, self._second_starts, self._second_stops = spans

    @property
    def n_windows(self) -> int:
        """Of all documents of this source."""
        return int(self._counts(self._rows.numpy()).sum())

    @property
    def size(self) -> int:
        """Tokens in the sequences of all documents of this source, with those that begin and end them."""
        which = self._of(self._rows.numpy())
        return int(self._lengths(which).sum())

    def _counts(self, rows: np.ndarray) -> np.ndarray:
        counts: np.ndarray = self._ends[rows] - np.where(rows > 0, self._ends[rows - 1], 0)
        return counts

    def _of(self, rows: np.ndarray) -> np.ndarray:
        """Windows of some documents, one document behind the other."""
        counts = self._counts(rows)
        shift = self._ends[rows] - counts.cumsum()
        windows: np.ndarray = np.arange(int(counts.sum())) + np.repeat(shift, counts)
        return windows

    def _lengths(self, windows: np.ndarray) -> np.ndarray:
        text = self._stops[windows] - self._starts[windows]
        lengths: np.ndarray = text + self._second_stops[windows] - self._second_starts[windows] + self._n_special()
        return lengths

    def pieces(self, tokens: int) -> Iterator[tuple[int, int]]:
        """First and last of documents that come to about so many tokens, one at least."""
        lengths = self._lengths(self._of(self._rows.numpy()))
        counts = self._counts(self._rows.numpy())
        before = np.concatenate([[0], lengths.cumsum()])[np.concatenate([[0], counts.cumsum()])]
        start = 0
        while start < len(self):
            stop = max(start + 1, int(np.searchsorted(before, before[start] + tokens, side="right")) - 1)
            yield start, stop
            start = stop

    def as_windows(self) -> "TextSource":
        """A source in which each window is a document."""
        rows = self._rows.numpy()
        windows, counts = torch.from_numpy(self._of(rows)), torch.from_numpy(self._counts(rows))
        return self._with(windows, counts, _ends=np.arange(1, len(self._starts) + 1))

    def take(self, index: Tensor, device: torch.device) -> Any:
        """The sequences of the documents at `index`, as :class:`Sequences`."""
        from skrep.solvers.windows import join_windows

        rows = self._rows[index].numpy()
        windows = self._of(rows)
        lengths = self._lengths(windows)
        # (tokens, types, positions) x n_tokens
        filled = np.empty((3, int(lengths.sum())), np.int64)
        first, second = (stream.tokens(0, len(stream)) for stream in (self._first, self._second))
        spans = self._starts, self._stops, second, self._second_starts, self._second_stops
        join_windows(windows, first, *spans, self._between(), self.special.begin, self.special.end, *filled)
        counts = self._counts(rows)
        of_documents = np.add.reduceat(lengths, counts.cumsum() - counts) if len(rows) else lengths
        tokens, types, positions = torch.from_numpy(filled).to(device)
        return Sequences(
            tokens, types, positions, torch.from_numpy(lengths), torch.from_numpy(of_documents),
            torch.from_numpy(windows),
        )  # fmt: skip

    def documents_of(self, windows: Tensor) -> Tensor:
        """To which documents windows belong; see :attr:`Sequences.numbers`."""
        return torch.from_numpy(np.searchsorted(self._document_ends, windows.numpy(), side="right"))

    def halves(self) -> "TextSource":
        """A source of pairs of neighbours: each document in windows half as long, the first with the second and so on.

        Documents of a single token are left out.
        """
        rows = self._rows.numpy()
        lengths = np.diff(self._first.ends, prepend=0)
        room = (self.shape[0] - 2 - self.special.between) // 2
        rooms = np.clip(-(-lengths // 2), 1, room)
        starts, stops, ends = _windows(self._first, rooms, self._ends_sentence)
        numbers = np.diff(ends, prepend=0)
        counts = np.where(numbers > 1, -(-numbers // 2), 0)  # of pairs; an odd window goes with the one before
        pair_ends = counts.cumsum()
        within = np.arange(counts.sum()) - np.repeat(pair_ends - counts, counts)
        firsts = np.repeat(ends - numbers, counts) + np.minimum(2 * within, np.repeat(numbers, counts) - 2)
        here = counts[rows]
        return self._with(
            torch.from_numpy(np.arange(here.sum()) + np.repeat(pair_ends[rows] - here.cumsum(), here)),
            torch.from_numpy(here),
            is_pair=True,
            _second=self._first,
            _starts=starts[firsts],
            _stops=stops[firsts],
            _second_starts=starts[firsts + 1],
            _second_stops=stops[firsts + 1],
            _ends=np.arange(1, len(firsts) + 1),
            _document_ends=pair_ends,
        )

    def stream(self) -> TokenStream:
        """All tokens of the documents (of which there are windows) here, without those that begin and end sequences."""
        is_here = np.zeros(self._first.n_documents, bool)
        is_here[self.documents_of(torch.from_numpy(self._of(self._rows.numpy()))).numpy()] = True
        first = self._first.documents(is_here)
        return first if self._second is self._first else first.followed_by(self._second.documents(is_here))

    def chunk(self, start: int, stop: int) -> Tensor:
        """Tokens of some documents, with those that begin and end sequences."""
        tokens: Tensor = self.take(torch.arange(start, stop), torch.device("cpu")).tokens
        return tokens

    def chunks(self, rows: int | None = None) -> Iterator[Tensor]:
        """Tokens of all documents, and how many each has."""
        rows = rows or 4096
        for start in range(0, self.n_samples, rows):
            part = self.take(torch.arange(start, min(start + rows, self.n_samples)), torch.device("cpu"))
            yield part.tokens
            yield part.lengths

    def encode(self, network: Any, device: torch.device, rows: int | None = None) -> np.ndarray:
        """Features of documents, in eval mode; those of one do not depend on the others.

        Parameters
        ----------
        network : TextEncoder
            Vectors of tokens, and how they are pooled.
        device : torch.device
            Where it is.
        rows : None
            Not used: sequences of one length pass together.

        Returns
        -------
        ndarray of shape (n_documents, n_features), float32
        """
        network.eval()
        length, width = network.transformer.max_length, network.transformer.width * len(network.layers)
        features = np.empty((len(self), width), np.float32)
        with torch.inference_mode():
            for start, stop in self.pieces(CHUNK_TOKENS):
                sequences = self.take(torch.arange(start, stop), device)
                vectors = torch.empty(len(sequences.tokens), width, device=device)
                for grid, place, at in in_own_rows(sequences, length, GRID_TOKENS):
                    vectors[at] = network.vectors(grid)[place].float()
                features[start:stop] = network.pool(vectors, sequences).cpu().numpy()
        return features


def _windows(
    stream: TokenStream, rooms: np.ndarray, ends_sentence: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the windows of documents start and stop, and how many there are up to the end of each document."""
    from skrep.solvers.windows import cut_windows

    parts = []
    n_documents, n_tokens, n_windows = 0, 0, 0
    for tokens, ends in stream.chunks():
        some = rooms[n_documents : n_documents + len(ends)]
        most = int((2 * np.diff(ends, prepend=0) // some + 2).sum())
        starts, stops = np.empty((2, most), np.int64)
        window_ends = np.empty(len(ends), np.int64)
        n = cut_windows(tokens, ends, some, ends_sentence, starts, stops, window_ends)
        parts.append((starts[:n] + n_tokens, stops[:n] + n_tokens, window_ends + n_windows))
        n_documents, n_tokens, n_windows = n_documents + len(ends), n_tokens + len(tokens), n_windows + n
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    starts, stops, ends = (np.concatenate(column) for column in zip(*parts, strict=True))
    return starts, stops, ends
