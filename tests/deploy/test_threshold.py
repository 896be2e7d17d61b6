"The threshold is a rank of the held-out scores, and new images exceed it as often as promised."
import math
import numpy as np, pytest, torch
from mudenet.core.errors import UserError
from mudenet.deploy.threshold import choose_threshold, describe_threshold, given_threshold


def test_the_threshold_is_the_rank_that_the_rate_asks_for():
    scores = torch.arange(1., 100)                       # 99 of them
    assert choose_threshold(scores, .01)['threshold'] == 99
    assert choose_threshold(scores, .05)['threshold'] == 95


def test_new_nominal_images_exceed_it_as_often_as_promised():
    "4000 draws of 39 held-out images and one new one; the rate is within four standard errors."
    draws = torch.randn(4000, 40, generator=torch.Generator().manual_seed(0))
    rate = np.mean([(d[-1] > choose_threshold(d[:-1], .05)['threshold']).item() for d in draws])
    assert abs(rate - .05) < 4*math.sqrt(.05*.95/4000)


def test_a_rate_that_is_too_rare_is_said_to_be():
    few, many = choose_threshold(torch.arange(1., 22), .01), choose_threshold(torch.arange(1., 100), .01)
    assert 'asked for would take 99;' in describe_threshold(few)
    assert 'asked for' not in describe_threshold(many)


@pytest.mark.parametrize('given', [math.nan, math.inf])
def test_a_threshold_that_no_score_can_be_compared_with_is_refused(given):
    with pytest.raises(UserError, match=f'The threshold is {given}; it must be a finite number'): given_threshold(given)
