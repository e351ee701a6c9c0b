"""Work on many items at once, whose results come in the order of the items."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
WorkedOut = TypeVar("WorkedOut")

THREADS = 64
"""Maximum number of items that are worked on at once."""

ITEMS_AHEAD, BYTES_AHEAD = 128, 64 << 20
"""Maximum number of items, and of their bytes, that are worked on or wait to be asked for."""


def in_order(
    work: Callable[[Item], WorkedOut], items: Iterable[Item], size: Callable[[Item], int]
) -> Iterator[WorkedOut]:
    """The results of `work` on each item, ahead of those that are asked for; `size`: the bytes
    that an item takes.

    The threads do not keep the process from ending.
    """
    todo: queue.SimpleQueue[tuple[Future[WorkedOut], Item] | None] = queue.SimpleQueue()
    waiting: deque[tuple[Future[WorkedOut], int]] = deque()
    over, threads, held = threading.Event(), 0, 0

    def serve() -> None:
        while (task := todo.get()) is not None and not over.is_set():
            future, item = task
            try:
                future.set_result(work(item))
            except BaseException as error:
                future.set_exception(error)

    try:
        for item in items:
            taken = size(item)
            while waiting and (len(waiting) >= ITEMS_AHEAD or held + taken > BYTES_AHEAD):
                future, freed = waiting.popleft()
                held -= freed
                yield future.result()
            if threads < min(THREADS, len(waiting) + 1):
                threads += 1
                threading.Thread(target=serve, daemon=True).start()
            waiting.append((Future(), taken))
            held += taken
            todo.put((waiting[-1][0], item))
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        over.set()
        for _ in range(threads):
            todo.put(None)
