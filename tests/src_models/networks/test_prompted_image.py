"""Algebra of shared image tokens and mixtures, against tokens written out for every prompt."""

from __future__ import annotations

import pytest
import torch

from src_models.networks.prompted_image import Mixture, PromptedImage

N, L, C, R = 3, 10, 4, 2


@pytest.fixture(params=[False, True])
def image(request):
    torch.manual_seed(0)
    if not request.param:
        return PromptedImage(torch.randn(L, C))
    cells = torch.stack([torch.randperm(L)[:3] for _ in range(N)])
    return PromptedImage(torch.randn(L, C), cells, torch.randn(N, 3, C))


def _written_out(image):
    return image.tokens(torch.arange(N))


def test_scores_are_inner_products_with_all_tokens(image):
    rows = torch.randn(N, R, C)
    torch.testing.assert_close(image.scores(rows), rows @ _written_out(image).transpose(1, 2))


def test_weighted_sums_are_those_of_all_tokens(image):
    weights = torch.rand(N, R, L)
    torch.testing.assert_close(image.weighted_sum(weights), weights @ _written_out(image))


def test_rows_are_added_to_all_tokens(image):
    rows = torch.randn(L, C)
    torch.testing.assert_close(_written_out(image.plus(rows)), _written_out(image) + rows)


def test_squares_are_those_of_all_tokens(image):
    want = _written_out(image).square().sum(-1)
    torch.testing.assert_close(image.squares().expand(N, -1), want)


def test_some_prompts_can_be_selected(image):
    chosen = torch.tensor([2, 0])
    torch.testing.assert_close(image.select(chosen).tokens(torch.arange(2)), _written_out(image)[chosen])


def test_a_mixture_is_the_product_of_weights_and_rows(image):
    torch.manual_seed(1)
    mixture = Mixture(torch.randn(N, 5, C), torch.rand(N, 5, L))
    sums = mixture.weights.transpose(1, 2) @ mixture.rows  # (N, L, C)
    others, weights = torch.randn(N, R, C), torch.rand(N, R, L)
    torch.testing.assert_close(mixture.scores(others), others @ sums.transpose(1, 2))
    both = others @ (sums + _written_out(image)).transpose(1, 2)
    torch.testing.assert_close(mixture.scores(others, image), both)
    torch.testing.assert_close(mixture.weighted_sum(weights), weights @ sums)
