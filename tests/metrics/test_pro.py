"PRO equals rational arithmetic, threshold after threshold, and the oracle file."
import json
from fractions import Fraction
from pathlib import Path
import numpy as np, pytest
from metric_cases import make_case
from scipy import ndimage
from mudenet.core.errors import UserError
from mudenet.metrics import aupro, pixel_auroc
from mudenet.metrics.pro import pro_area, region_weights
from mudenet.metrics.ranks import rank_counts
from mudenet.metrics.roc import pixel_metrics

ORACLES = Path(__file__).parent/'oracles'      # how they were made is said in their JSON files
ORACLE = json.loads((ORACLES/'pro_oracle.json').read_text())


def slow_aupro(masks, maps, limit, connectivity):
    "The definition, in rational numbers."
    regions, structure = [], ndimage.generate_binary_structure(2, connectivity//4)
    for i, mask in enumerate(masks):
        labels, n = ndimage.label(mask, structure)
        regions += [(i, labels == k) for k in range(1, n+1)]
    curve = [(Fraction(0), Fraction(0))]
    for t in sorted(set(maps.ravel().tolist()), reverse=True):
        on = maps >= t
        overlap = sum(Fraction(int(on[i][r].sum()), int(r.sum())) for i, r in regions)/len(regions)
        curve.append((Fraction(int((on & ~masks).sum()), int((~masks).sum())), overlap))
    area, limit = Fraction(0), Fraction(limit)
    for (x0, y0), (x1, y1) in zip(curve, curve[1:]):
        if x0 >= limit: break
        if x1 > limit: x1, y1 = limit, y0 + (y1 - y0)*(limit - x0)/(x1 - x0)
        area += (x1 - x0)*(y0 + y1)/2
    return float(area/limit)


@pytest.mark.parametrize('trial', range(30))
def test_pro_equals_its_definition(trial):
    rng = np.random.default_rng(trial)
    masks = ndimage.binary_dilation(rng.random((3,12,12)) < .05, np.ones((1,2,2)))
    assert masks.any()
    maps = (rng.integers(0, (3, 20, 10**6)[trial % 3], masks.shape) + masks).astype(np.float32)
    for limit in (.05, .3, 1.):
        for connectivity in (4, 8):
            slow = slow_aupro(masks, maps, limit, connectivity)
            assert aupro(masks, maps, limit, connectivity=connectivity) == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize('name', ORACLE['cases'])
def test_pro_equals_the_oracle(name):
    arrays = np.load(ORACLES/'pro_oracle.npz')
    masks, maps = arrays[f'{name}_masks'], arrays[f'{name}_maps']
    for limit, result in ORACLE['cases'][name]['results'].items():
        assert aupro(masks, maps, float(limit)) == pytest.approx(result['exact_rational'], abs=1e-12)
        together = pixel_metrics(rank_counts(masks, maps), region_weights(masks), float(limit))
        assert together['aupro'] == pytest.approx(result['exact_rational'], abs=1e-12)
    assert pixel_auroc(masks, maps) == pytest.approx(ORACLE['cases'][name]['pixel_auroc_exact'], abs=1e-12)


def slow_aupro_on_grid(masks, maps, limit, n, connectivity):
    "Threshold after threshold, from the largest score down, as the published log's figure is described."
    weights, curve = np.zeros(masks.shape), [(0, 0)]
    weights[masks] = region_weights(masks, connectivity)
    for t in np.linspace(maps.min(), maps.max(), n)[::-1]:
        on = maps >= t
        curve.append(((on & ~masks).sum()/(~masks).sum(), weights[on].sum()))
    fpr, pro = np.array(curve).T
    inside = fpr <= limit
    fpr, pro = np.append(fpr[inside], limit), np.append(pro[inside], np.interp(limit, fpr, pro))
    return np.trapezoid(pro, fpr)/limit


@pytest.mark.parametrize('kind', ['smooth', 'ties'])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_linear_thresholds_equal_a_walk_over_them(kind, dtype):
    masks, maps = make_case(kind, dtype)
    ranks = rank_counts(masks, maps)
    for connectivity in (4, 8):
        for n in (2, 30, 1000):
            slow = slow_aupro_on_grid(masks, maps, .3, n, connectivity)
            assert aupro(masks, maps, .3, n, connectivity) == pytest.approx(slow, abs=1e-12)
            shared = pro_area(ranks, region_weights(masks, connectivity), .3, n)
            assert shared == pytest.approx(slow, abs=1e-12)


def test_one_outlier_of_a_whole_test_set():
    "A nominal pixel moves PRO by no more than 1/(nominal pixels x limit): 3.5e-7 here."
    masks, maps = make_case('smooth', n=150, side=256)
    outlier = maps.copy()
    outlier[100,7,7] = 500
    assert 0 < aupro(masks, maps) - aupro(masks, outlier) < 1/(~masks).sum()/.3 + 1e-12 < 1e-5


def test_a_perfect_map_fills_the_box_and_no_more():
    rng = np.random.default_rng(0)
    for n in range(1, 40):
        masks = rng.random((n, 9, 9)) < .1
        masks[0,0,0], masks[0,8,8] = True, False
        for thresholds in (None, 300):
            found = aupro(masks, masks.astype(float), num_thresholds=thresholds)
            assert found == pytest.approx(1., abs=1e-12) and found <= 1


def test_what_pro_refuses():
    masks, maps = make_case('smooth')
    with pytest.raises(UserError, match='connectivity is 6'): region_weights(masks, 6)
    with pytest.raises(UserError, match=r'needs \(N,H,W\)'): region_weights(masks[0])
    with pytest.raises(UserError, match='mark all'): aupro(masks | True, maps)
    with pytest.raises(UserError, match='num_thresholds is 1'): aupro(masks, maps, num_thresholds=1)
