"Cross-checks against scikit-learn, the oracle files and walks without cleverness; what no change of scale, order or outlier may change."
import json, math, tracemalloc
from fractions import Fraction
from pathlib import Path
import numpy as np, pytest
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
from mudenet.aupimo import aupimo
from mudenet.bootstrap import bootstrap, draw_counts, image_draws, pixel_draws
from mudenet.config import UserError
from mudenet.metrics import average_precision, f1_max, image_auroc, pixel_auroc, pixel_metrics
from mudenet.pro import aupro
from mudenet.spro import saturated_area, spro

BOUNDS = (1e-4, 1e-2)      # of AUPIMO: the cases have some 30,000 nominal pixels


def make_case(kind, dtype=np.float32, n=12, side=64):
    rng = np.random.default_rng(3)
    masks = np.zeros((n,side,side), bool); masks[:4,10:30,20:33] = masks[2,50:60,40:60] = True
    maps = ndimage.gaussian_filter(rng.random(masks.shape) + .1*masks, (0,2,2)).astype(dtype)
    if kind == 'ties': maps = np.round(maps*30)/dtype(30) + (rng.random(masks.shape) < .002)*rng.random(masks.shape).astype(dtype)
    return masks, maps.astype(dtype)


@pytest.fixture(params=['smooth', 'ties'])
def case(request): return make_case(request.param)


def single(masks, area=7): return [[(m, area)] if m.any() else [] for m in masks]


PIXEL = {'pixel_auroc': pixel_auroc, 'aupro': aupro, 'average_precision': average_precision, 'f1_max': f1_max,
         'aupimo': lambda masks, maps: aupimo(masks, maps, BOUNDS)[1], 'spro': lambda masks, maps: spro(single(masks), maps)}
IMAGE = {'image_auroc': image_auroc, 'average_precision': average_precision, 'f1_max': f1_max}


@pytest.fixture(params=PIXEL)
def metric(request): return PIXEL[request.param]


def test_equal_to_scikit_learn(case):
    masks, maps = case
    for truth, scores in ((masks.ravel(), maps.ravel()), (masks.any((1, 2)), maps.max((1, 2)))):
        p, r, _ = precision_recall_curve(truth, scores)
        assert image_auroc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
        assert f1_max(truth, scores) == pytest.approx((2*p*r/np.maximum(p + r, 1e-300)).max(), abs=1e-12)
    assert pixel_auroc(masks, maps) == image_auroc(masks.ravel(), maps.ravel())


@pytest.mark.parametrize('limit', [.05, .3, 1.])
def test_one_search_gives_what_each_gives_alone(case, limit):
    assert [*pixel_metrics(*case, limit).values()] == pytest.approx([pixel_auroc(*case), aupro(*case, limit), average_precision(*case), f1_max(*case)], abs=1e-12)


def test_pieces_change_nothing(metric, case, monkeypatch):
    whole, grid = metric(*case), aupro(*case, num_thresholds=99)
    for module in ('ranks', 'pro'): monkeypatch.setattr(f'mudenet.{module}.PIECE', 1000)
    monkeypatch.setattr('mudenet.bootstrap.BLOCK', 50)
    assert metric(*case) == pytest.approx(whole, abs=1e-12) and aupro(*case, num_thresholds=99) == pytest.approx(grid, abs=1e-12)
    auroc, pro = pixel_draws(np.ones((2, 12)), *case)
    assert [*auroc, *pro] == pytest.approx([pixel_auroc(*case)]*2 + [aupro(*case)]*2, abs=1e-12)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('change', [lambda x: x*10 + 40, lambda x: -1/(x + 1), np.exp])
def test_monotone_maps_change_nothing(metric, change, dtype):
    masks, maps = make_case('smooth', dtype)
    assert change(maps).dtype == dtype
    assert metric(masks, change(maps)) == pytest.approx(metric(masks, maps), abs=1e-6)


def test_order_changes_nothing(metric, case):
    masks, maps = case
    order = np.random.default_rng(0).permutation(len(masks))
    assert metric(masks[order], maps[order]) == pytest.approx(metric(masks, maps), abs=1e-12)


def test_one_outlier_of_a_whole_test_set():
    "A nominal pixel moves PRO by no more than 1/(nominal pixels x limit): 3.5e-7 here."
    masks, maps = make_case('smooth', n=150, side=256)
    outlier = maps.copy(); outlier[100,7,7] = 500
    assert 0 < aupro(masks, maps) - aupro(masks, outlier) < 1/(~masks).sum()/.3 + 1e-12 < 1e-5


def test_nothing_is_made_up(metric, case):
    masks, maps = case
    worst = [(masks & False, maps), (masks | True, maps), (masks, maps*np.nan), (masks, np.where(maps == maps.max(), np.inf, maps)), (masks, maps[:,1:])]
    for truth, scores in worst:
        with pytest.raises(UserError): metric(truth, scores)


@pytest.mark.parametrize('metric', IMAGE.values(), ids=IMAGE)
def test_nothing_is_made_up_of_images(metric):
    for truth, scores in (([0, 0], [1, 2]), ([1, 1], [1, 2]), ([0, 1], [1, np.nan]), ([0, 1], [1, np.inf]), ([0, 1], [1, 2, 3]), ([], [])):
        with pytest.raises(UserError): metric(truth, scores)


def test_constant_maps_are_chance():
    "All items are marked, or none: the diagonal, and the share of defective items as precision."
    masks, maps = make_case('smooth')
    flat, share = maps*0 + 3, masks.mean()
    assert (pixel_auroc(masks, flat), average_precision(masks, flat)) == pytest.approx((.5, share), abs=1e-12)
    assert f1_max(masks, flat) == pytest.approx(2*share/(1 + share), abs=1e-12)
    assert [aupro(masks, flat, limit) for limit in (.05, .3, 1)] == pytest.approx([.025, .15, .5], abs=1e-12)
    assert spro(single(masks), flat, .05) == pytest.approx(.025, abs=1e-12)
    with pytest.raises(UserError, match='share the highest score'): aupimo(masks, flat, BOUNDS)


@pytest.mark.parametrize('limit', [0, -.1, 1.1, np.nan])
def test_limits_are_rates(limit):
    masks, maps = make_case('smooth')
    for call in (aupro, pixel_metrics, lambda m, x, limit: spro(single(m), x, limit), lambda m, x, limit: pixel_draws(np.ones((1, 12)), m, x, limit)):
        with pytest.raises(UserError, match='fpr_limit'): call(masks, maps, limit)


ORACLES = Path(__file__).parent/'oracles'      # how they were made is said in their JSON files
PRO, SPRO = (json.loads((ORACLES/f'{n}_oracle.json').read_text()) for n in ('pro', 'spro'))


@pytest.mark.parametrize('name', PRO['cases'])
def test_pro_equals_the_oracle(name):
    arrays = np.load(ORACLES/'pro_oracle.npz')
    masks, maps = arrays[f'{name}_masks'], arrays[f'{name}_maps']
    for limit, result in PRO['cases'][name]['results'].items():
        assert aupro(masks, maps, float(limit)) == pytest.approx(result['exact_rational'], abs=1e-12)
        assert pixel_metrics(masks, maps, float(limit))['aupro'] == pytest.approx(result['exact_rational'], abs=1e-12)
    assert pixel_auroc(masks, maps) == pytest.approx(PRO['cases'][name]['pixel_auroc_exact'], abs=1e-12)


@pytest.mark.parametrize('maps', SPRO['results'])
@pytest.mark.parametrize('group', ['all', 'structural_anomalies', 'logical_anomalies'])
def test_spro_equals_the_oracle(maps, group):
    arrays, entries = np.load(ORACLES/'spro_cases.npz'), {e['pixel_value']: e for e in SPRO['defects_config']}
    chosen = [i for i in SPRO['images'] if group == 'all' or i['subdir'] in (group, 'good')]
    defects = [[(arrays['channels'][c] > 0, saturated_area(entries[value], arrays['channels'][c] > 0))
                for c, value in zip(np.flatnonzero(arrays['channel_image'] == i['index']), i['channels'])] for i in chosen]
    expected = SPRO['results'][maps][group]['exact']
    assert {float(k) for k in expected} >= {.01, .05, .1, .3, 1.}
    for limit, value in expected.items():
        scores = arrays[maps][[i['index'] for i in chosen]]
        assert spro(defects, scores, float(limit)) == spro(defects, list(scores), float(limit)) == pytest.approx(value, abs=1e-12)


class Stream:
    "Maps or defects made when they are asked for, once each."
    def __init__(self, make, n): self.make, self.n, self.asked = make, n, []
    def __len__(self): return self.n
    def __getitem__(self, i): self.asked.append(i); return self.make(i)


@pytest.mark.parametrize('limit', [.01, .05])
def test_spro_holds_a_few_maps_at_a_time(limit):
    n, side = 30, 1024
    field = ndimage.gaussian_filter(np.random.default_rng(0).random((side, side), np.float32), 3)
    mask = np.zeros((side, side), bool); mask[50:80,60:100] = True
    maps, defects = Stream(lambda i: np.roll(field, 37*i) + np.float32(.01)*mask*(i < 30), n), Stream(lambda i: [(mask, 600)] if i < 30 else [], n)
    streamed = spro(defects, maps, limit)
    assert maps.asked == defects.asked == [*range(n)]
    tracemalloc.start()
    again = spro(Stream(defects.make, n), Stream(maps.make, n), limit)
    most = tracemalloc.get_traced_memory()[1]; tracemalloc.stop()
    assert most < field.nbytes*(2*limit*n + 8)           # the pool is twice what can matter; eight maps for what is in hand
    assert again == streamed == spro([defects.make(i) for i in range(n)], np.stack([maps.make(i) for i in range(n)]), limit)


def walk_aupimo(masks, maps, low, high):
    "Every distinct score a threshold, points joined by straight lines over the logarithm; the rates are fractions."
    nominal = [m for m, on in zip(maps, masks) if not on.any()]
    areas = []
    for score, mask in zip(maps, masks):
        if not mask.any(): areas.append(None); continue
        points = []
        for t in sorted({*np.ravel(nominal).tolist(), *score[mask].tolist()}, reverse=True):
            rate = sum(Fraction(int((m >= t).sum()), m.size) for m in nominal)/len(nominal)      # the mean of the images' rates
            if rate: points.append((math.log(rate), Fraction(int((score[mask] >= t).sum()), int(mask.sum()))))
        area, (l, h) = 0., (math.log(low), math.log(high))
        for (a, ya), (b, yb) in zip(points, points[1:]):
            s, e = max(a, l), min(b, h)
            if e <= s: continue
            at = lambda z: float(ya) + float(yb - ya)*(z - a)/(b - a)
            area += (e - s)*(at(s) + at(e))/2
        areas.append(area/(h - l))
    return areas


@pytest.mark.parametrize('trial', range(20))
def test_aupimo_equals_a_walk(trial):
    rng = np.random.default_rng(trial)
    masks = np.zeros((6, 9, 9), bool); masks[:3] = rng.random((3, 9, 9)) < .2
    maps = (rng.integers(0, (12, 60, 10**6)[trial % 3], masks.shape) + 2*masks).astype(np.float32)
    maps[3 + trial % 3,4,4] = maps[3:].max() + 1                    # a single highest nominal pixel of 243
    if trial % 2: maps[0][masks[0]] = maps[3:].max()                # a defect that ties with it
    for bounds in ((.005, .05), (.01, 1.), (1/243, .3)):
        values, mean = aupimo(masks, maps, bounds)
        expected = walk_aupimo(masks, maps, *bounds)
        assert values[:3] == pytest.approx(expected[:3], abs=1e-12) and np.isnan(values[3:]).all() and expected[3:] == [None]*3
        assert mean == pytest.approx(np.mean(expected[:3]), abs=1e-12)


def test_aupimo_says_what_it_cannot_reach():
    masks, maps = make_case('smooth', n=28)
    with pytest.raises(UserError, match='have 98304 pixels; a false positive rate of 1e-05 takes at least 100000'): aupimo(masks, maps)
    masks, maps = make_case('smooth', n=29)
    assert np.isfinite(aupimo(masks, maps)[1])
    with pytest.raises(UserError, match='nominal and defective images'): aupimo(masks | (np.arange(64) == 0), maps)


def test_draws_equal_the_figures_of_resampled_arrays(case):
    masks, maps = case
    labels, scores = masks.any((1, 2)), maps.max((1, 2))
    counts = draw_counts(labels, 12, 5)
    for limit in (.05, .3):
        for c, i, a, p in zip(counts, image_draws(counts, labels, scores), *pixel_draws(counts, masks, maps, limit)):
            taken = np.repeat(np.arange(12), c.astype(int))
            assert (i, a, p) == pytest.approx((image_auroc(labels[taken], scores[taken]), pixel_auroc(masks[taken], maps[taken]), aupro(masks[taken], maps[taken], limit)), abs=1e-12)


def test_intervals_hold_the_figures(case):
    masks, maps = case
    labels, scores = masks.any((1, 2)), maps.max((1, 2))
    found = bootstrap(labels, scores, masks, maps, draws=300, seed=1)
    assert [f.value for f in found.values()] == pytest.approx([image_auroc(labels, scores), pixel_auroc(masks, maps), aupro(masks, maps)], abs=1e-9)
    narrow = bootstrap(labels, scores, masks, maps, draws=300, seed=1, level=.5)
    for k, f in found.items(): assert f.low <= narrow[k].low <= narrow[k].high <= f.high and f.low < f.high
    assert bootstrap(labels, scores, masks, maps, draws=300, seed=1) == found


@pytest.mark.parametrize('change', [dict(labels=np.ones(12, bool)), dict(level=1), dict(draws=0), dict(labels=np.ones(3, bool)), dict(masks=np.zeros((12, 64, 64), bool)),
                                    dict(maps=np.full((12, 64, 64), np.nan)), dict(scores=np.full(12, np.inf))], ids=lambda c: next(iter(c)))
def test_intervals_are_refused_where_no_figure_is_defined(change):
    masks, maps = make_case('smooth')
    with pytest.raises(UserError): bootstrap(**(dict(labels=masks.any((1, 2)), scores=maps.max((1, 2)), masks=masks, maps=maps, draws=5) | change))
