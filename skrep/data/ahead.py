"""Work that is done ahead of the reader."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["ahead"]


def ahead(call: Callable[[Any], Any], items: Iterable[Any], n_threads: int) -> Generator[Any, None, None]:
    """``map(call, items)`` on threads that are a few items ahead of the reader; with one it is the reader's own.

    The reader closes it (``contextlib.closing``) where it may stop early, and so waits for the threads.

    Parameters
    ----------
    call : callable
        A function of an item; several threads call it at once.
    items : iterable
        The items, which are taken by the reader's thread.
    n_threads : int
        Threads.

    Yields
    ------
    object
        What the function returned, in the order of the items.
    """
    if n_threads == 1:
        yield from map(call, items)
        return
    following = iter(items)
    pool = ThreadPoolExecutor(n_threads)
    try:
        waiting = deque(pool.submit(call, item) for item in itertools.islice(following, n_threads + 1))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(call, item) for item in itertools.islice(following, 1))
    finally:
        pool.shutdown(cancel_futures=True)
