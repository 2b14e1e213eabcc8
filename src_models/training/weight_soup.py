"""Average the weights of several networks, which costs nothing in use and is often better than the best of them.

Source: Wortsman et al., 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time". The networks must come from the same start: only then do their weights lie in one basin.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from src_models.model_errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from src_models.networks.sam import Sam


def mean_network(nets: Sequence[Sam]) -> Sam:
    """Average the weights of networks, each parameter and statistic in float64.

    Parameters
    ----------
    nets : sequence of Sam
        At least one; all of the same kind and with the same parts.

    Returns
    -------
    Sam
        A new network. It has no quality head: such heads are fitted to the masks of one network.

    Raises
    ------
    TrainingError
        If there is no network, or they differ in kind or parts.
    """
    if not nets:
        raise TrainingError("there is no network to average", remedy="give at least one checkpoint")
    mean = copy.deepcopy(nets[0])
    mean.quality_head = None
    states = [_without_head(net) for net in nets]
    for number, (net, state) in enumerate(zip(nets, states, strict=True), 1):
        if net.kind != nets[0].kind:
            message = f"network {number} is of kind {net.kind!r}, the first one {nets[0].kind!r}"
            raise TrainingError(message, remedy="average networks of one kind")
        if different := states[0].keys() ^ state.keys():
            message = f"network {number} and the first one differ in {min(different)!r}"
            raise TrainingError(message, remedy="average networks with the same parts, all with or without decoder")
    mean.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
    return mean


def greedy_soup(nets: Sequence[Sam], score: Callable[[Sam], float]) -> tuple[Sam, list[int], float]:
    """Average those networks that together score highest: from the best on, each one that does not lower the score.

    Parameters
    ----------
    nets : sequence of Sam
        As for `mean_network`.
    score : callable
        Rates a network on images that none was trained on; higher is better.

    Returns
    -------
    net : Sam
        The average.
    chosen : list of int
        Indices of the averaged networks, the best first.
    best : float
        Its score.
    """
    mean_network(nets)  # refuses networks that do not fit before any is rated
    scores = [score(net) for net in nets]
    order = sorted(range(len(nets)), key=lambda i: -scores[i])
    chosen, best = order[:1], scores[order[0]]
    for i in order[1:]:
        rated = score(mean_network([nets[k] for k in (*chosen, i)]))
        if rated >= best:
            chosen, best = [*chosen, i], rated
    return mean_network([nets[k] for k in chosen]), chosen, best


def _without_head(net: Sam) -> dict[str, Tensor]:
    return {name: value for name, value in net.state_dict().items() if not name.startswith("quality_head.")}


def _mean(values: Sequence[Tensor]) -> Tensor:
    """Average tensors; of whole numbers, such as counts of batches, the first is taken."""
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([value.double() for value in values]).mean(0).to(values[0].dtype)
