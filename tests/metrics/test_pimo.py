"AUPIMO equals a walk over every threshold, and says what it cannot reach."
import math
from fractions import Fraction
import numpy as np, pytest
from metric_cases import make_case
from mudenet.core.errors import UserError
from mudenet.metrics import aupimo


def walk_curve(score, mask, nominal):
    "Points (log rate, recall) of one image, one a distinct score; a rate is the mean of the images' rates."
    points = []
    for t in sorted({*np.ravel(nominal).tolist(), *score[mask].tolist()}, reverse=True):
        rate = sum(Fraction(int((m >= t).sum()), m.size) for m in nominal)/len(nominal)
        recall = Fraction(int((score[mask] >= t).sum()), int(mask.sum()))
        if rate: points.append((math.log(rate), recall))
    return points


def area_between(points, low, high):
    "The area under straight lines between two bounds, divided by their distance."
    area = 0.
    for (a, ya), (b, yb) in zip(points, points[1:]):
        start, end = max(a, low), min(b, high)
        if end <= start: continue
        heights = [float(ya) + float(yb - ya)*(z - a)/(b - a) for z in (start, end)]
        area += (end - start)*sum(heights)/2
    return area/(high - low)


def walk_aupimo(masks, maps, low, high):
    "The area of each image; None for a nominal one."
    nominal, areas = [x for x, mask in zip(maps, masks) if not mask.any()], []
    for score, mask in zip(maps, masks):
        area = area_between(walk_curve(score, mask, nominal), math.log(low), math.log(high)) if mask.any() else None
        areas.append(area)
    return areas


@pytest.mark.parametrize('trial', range(20))
def test_aupimo_equals_a_walk(trial):
    rng = np.random.default_rng(trial)
    masks = np.zeros((6, 9, 9), bool)
    masks[:3] = rng.random((3, 9, 9)) < .2
    maps = (rng.integers(0, (12, 60, 10**6)[trial % 3], masks.shape) + 2*masks).astype(np.float32)
    maps[3 + trial % 3,4,4] = maps[3:].max() + 1                    # a single highest nominal pixel of 243
    if trial % 2: maps[0][masks[0]] = maps[3:].max()                # a defect that ties with it
    for bounds in ((.005, .05), (.01, 1.), (1/243, .3)):
        values, mean = aupimo(masks, maps, bounds)
        expected = walk_aupimo(masks, maps, *bounds)
        assert values[:3] == pytest.approx(expected[:3], abs=1e-12)
        assert np.isnan(values[3:]).all() and expected[3:] == [None]*3
        assert mean == pytest.approx(np.mean(expected[:3]), abs=1e-12)


def test_aupimo_says_what_it_cannot_reach():
    masks, maps = make_case('smooth', n=28)
    sentence = 'have 98304 pixels; a false positive rate of 1e-05 takes at least 100000'
    with pytest.raises(UserError, match=sentence): aupimo(masks, maps)
    masks, maps = make_case('smooth', n=29)
    assert np.isfinite(aupimo(masks, maps)[1])
    with pytest.raises(UserError, match='nominal and defective images'): aupimo(masks | (np.arange(64) == 0), maps)
    with pytest.raises(UserError, match='share the highest score'): aupimo(masks, maps*0)
    with pytest.raises(UserError, match='must rise'): aupimo(masks, maps, (.1, .01))
