"""Averages of the weights of networks."""

from __future__ import annotations

import pytest
import torch

from src_models.model_errors import TrainingError
from src_models.networks.sam import build_sam
from src_models.training.weight_soup import greedy_soup, mean_network

_WEIGHT = "iou_prediction_head.layers.2.bias"


def _network(value, dense=False):
    net = build_sam("default", dense)
    with torch.no_grad():
        net.mask_decoder.get_parameter(_WEIGHT).fill_(value)
    return net


def _value(net):
    return float(net.mask_decoder.get_parameter(_WEIGHT)[0].detach())


def test_weights_and_statistics_are_averaged():
    nets = [_network(1.0), _network(4.0)]
    for net, level in zip(nets, (0.0, 1.0), strict=True):
        net.image_encoder.stem.bn.running_mean.fill_(level)
    mean = mean_network(nets)
    assert _value(mean) == 2.5
    assert float(mean.image_encoder.stem.bn.running_mean[0]) == 0.5
    assert _value(nets[0]) == 1.0


def test_the_mean_of_one_network_is_that_network():
    net = _network(1.0)
    for name, value in mean_network([net]).state_dict().items():
        assert torch.equal(value, net.state_dict()[name])


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(TrainingError, match="network 2 and the first one differ in 'dense_decoder"):
        mean_network([_network(1.0), _network(1.0, dense=True)])
    with pytest.raises(TrainingError, match="no network to average"):
        mean_network([])


def test_a_greedy_soup_keeps_what_raises_the_score():
    """The best value is 2: 1.5 and 2.5 make it, 9 would spoil it."""
    nets = [_network(9.0), _network(1.5), _network(2.6)]
    net, chosen, best = greedy_soup(nets, lambda net: -abs(_value(net) - 2))
    assert chosen == [1, 2]
    assert _value(net) == pytest.approx(2.05)
    assert best == pytest.approx(-0.05, abs=1e-6)
