"""Sequences of tokens in machine code: cut from documents, put together, laid into rows."""

import numpy as np

from skrep.solvers.compiled import compiled

__all__ = ["cut_windows", "fill_rows", "join_windows"]


@compiled
def cut_windows(tokens, ends, rooms, ends_sentence, starts, stops, window_ends):  # type: ignore[no-untyped-def]
    """Cut documents into windows, none longer than its document's room, no token left out.

    A window that does not reach the end of its document ends with a sentence, if one ends in its second half.

    Parameters
    ----------
    tokens : ndarray of shape (n_tokens,), int32
        Documents, one behind the other.
    ends : ndarray of shape (n_documents,), int64
        Where documents end.
    rooms : ndarray of shape (n_documents,), int64
        Tokens in a window, at most.
    ends_sentence : ndarray of shape (n_vocabulary,), bool
        Which tokens end a sentence.
    starts, stops : ndarray of shape (n_windows,), int64
        Filled; there are at most ``2 * length // room + 1`` for a document. An empty document has one window.
    window_ends : ndarray of shape (n_documents,), int64
        Filled with where the windows of documents end.

    Returns
    -------
    int
        Number of windows.
    """
    n, start = 0, 0
    for document in range(len(ends)):
        end, room = ends[document], rooms[document]
        while True:
            stop = min(start + room, end)
            if stop < end:
                for at in range(stop, start + room // 2, -1):
                    if ends_sentence[tokens[at - 1]]:
                        stop = at
                        break
            starts[n], stops[n] = start, stop
            n += 1
            start = stop
            if start == end:
                break
        window_ends[document] = n
    return n


@compiled
def join_windows(  # type: ignore[no-untyped-def]
    chosen, first, starts, stops, second, second_starts, second_stops, between, begin, end, tokens, types, positions
):
    """Put windows together, as a sequence each: begin, a window, end and, of a pair, another window and end.

    Parameters
    ----------
    chosen : ndarray of shape (n_chosen,), int64
        Which windows.
    first, second : ndarray of shape (n_tokens,), int32
        Tokens of first and second texts.
    starts, stops, second_starts, second_stops : ndarray of shape (n_windows,), int64
        Where windows are in them.
    between : int
        How many times `end` stands between the texts of a pair; 0 where there are no second texts.
    begin, end : int
        Tokens.
    tokens, types, positions : ndarray of shape (n,), int64
        Filled with those of all sequences, one behind the other.
    """
    n = 0
    for window in chosen:
        since = n
        tokens[n] = begin
        n += 1
        for at in range(starts[window], stops[window]):
            tokens[n] = first[at]
            n += 1
        tokens[n] = end
        n += 1
        for at in range(since, n):
            types[at] = 0
        if between:
            for _ in range(between - 1):
                tokens[n], types[n] = end, 0
                n += 1
            middle = n
            for at in range(second_starts[window], second_stops[window]):
                tokens[n] = second[at]
                n += 1
            tokens[n] = end
            n += 1
            for at in range(middle, n):
                types[at] = 1
        for at in range(since, n):
            positions[at] = at - since


@compiled
def fill_rows(lengths, length, rows, columns):  # type: ignore[no-untyped-def]
    """Lay sequences into as few rows as best fit finds: the longest first, each where least room is left over.

    Rows with the same room are in a chain, so that the time does not grow with their number.

    Parameters
    ----------
    lengths : ndarray of shape (n_sequences,), int64
        Tokens in each, from 1 to `length`.
    length : int
        Tokens in a row.
    rows, columns : ndarray of shape (n_sequences,), int64
        Filled with the row of each sequence, and where in it its first token is.

    Returns
    -------
    int
        Number of rows.
    """
    order = np.argsort(-lengths, kind="mergesort")
    newest = np.full(length + 1, -1, np.int64)  # row with so much room, or -1
    before = np.empty(len(lengths), np.int64)  # another with as much
    n_rows = 0
    for sequence in order:
        needed = lengths[sequence]
        room = needed
        while room <= length and newest[room] < 0:
            room += 1
        if room > length:
            room, row = length, n_rows
            n_rows += 1
        else:
            row = newest[room]
            newest[room] = before[row]
        rows[sequence], columns[sequence] = row, length - room
        left = room - needed
        before[row] = newest[left]
        newest[left] = row
    return n_rows
