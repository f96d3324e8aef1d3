"""Work for threads whose results come in the order of what they were made from."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
THREADS = min(4, os.cpu_count() or 1)  # decoding and encoding release the GIL; more would take the network's cores


def in_order(
    work: Callable[[Given], Made], items: Iterable[Given], threads: int = THREADS
) -> Generator[Made, None, None]:
    """Give what ``work`` makes of each item, in order; at most two for each thread are under way at a time.

    The first exception ends it, and so does closing the iterator; work that has not begun is then left undone.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
