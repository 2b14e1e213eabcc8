"""How torch's threads wait for each other, so that a click stays quick while other programs hold the cores.

The mask decoder consists of many small parallel regions. By default a thread of OpenMP that reaches the end of a region
first spins until the others arrive. On an idle machine that saves a little time. If another program holds the core that
a late thread needs, the others spin until the scheduler ends their turn, in every region.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

WAITING_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables by which a user chooses how threads wait: of the OpenMP standard, GNU, and LLVM and Intel."""


@cache
def set_passive_waiting() -> bool:
    """Let the threads of this process, and of processes that it starts, sleep while they wait.

    Takes effect if torch is not loaded yet, because OpenMP reads the environment when it is loaded. Does nothing if the
    user has set one of `WAITING_VARIABLES`. Only the first call in a process acts.

    Returns
    -------
    bool
        Whether threads of this process spin nevertheless, because torch was loaded before. `one_thread` helps then.
    """
    return choose_waiting(os.environ, torch_loaded="torch" in sys.modules)


def choose_waiting(environ: MutableMapping[str, str], *, torch_loaded: bool) -> bool:
    """Set passive waiting in an environment, unless it holds the user's choice.

    Parameters
    ----------
    environ : mutable mapping of str to str
        The environment, which new processes inherit.
    torch_loaded : bool
        Whether torch is loaded, which has then read the environment as it was.

    Returns
    -------
    bool
        Whether threads of this process spin although the user has not chosen it.

    Examples
    --------
    >>> environ = {}
    >>> choose_waiting(environ, torch_loaded=False), environ
    (False, {'OMP_WAIT_POLICY': 'PASSIVE'})
    >>> chosen = {"GOMP_SPINCOUNT": "1000"}
    >>> choose_waiting(chosen, torch_loaded=True), chosen
    (False, {'GOMP_SPINCOUNT': '1000'})
    """
    if any(name in environ for name in WAITING_VARIABLES):
        return False
    environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return torch_loaded


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of torch in the calling thread; other threads keep their number."""
    import torch  # noqa: PLC0415 - the waiting must be chosen before torch is loaded

    number = torch.get_num_threads()
    if number == 1:
        yield
        return
    torch.set_num_threads(1)
    # Torch also gives the number to threads that compute for the first time. Set from another thread, the former number
    # holds for these again, and the calling thread keeps its own.
    restore = Thread(target=torch.set_num_threads, args=(number,))
    restore.start()
    restore.join()
    try:
        yield
    finally:
        torch.set_num_threads(number)
