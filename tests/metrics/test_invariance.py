"What no change of scale, order, outlier or block size may change in any metric; and that none makes a figure up."
import subprocess, sys
import numpy as np, pytest
from metric_cases import BOUNDS, IMAGE, each_case, each_metric, make_case, one_defect
from mudenet.core.errors import UserError
from mudenet.metrics import aupimo, aupro, average_precision, f1_max, pixel_auroc, spro
from mudenet.metrics.resampling import pixel_draws


@each_case
def test_the_size_of_blocks_changes_nothing(case, monkeypatch):
    monkeypatch.setattr('mudenet.metrics.resampling.BLOCK', 50)
    auroc, pro = pixel_draws(np.ones((2, 12)), *case)
    assert [*auroc, *pro] == pytest.approx([pixel_auroc(*case)]*2 + [aupro(*case)]*2, abs=1e-12)


CHANGES = {'linear': lambda x: x*10 + 40, 'inverse': lambda x: -1/(x + 1), 'exp': np.exp}

@each_metric
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('change', CHANGES.values(), ids=CHANGES)
def test_monotone_maps_change_nothing(metric, change, dtype):
    masks, maps = make_case('smooth', dtype)
    assert change(maps).dtype == dtype
    assert metric(masks, change(maps)) == pytest.approx(metric(masks, maps), abs=1e-6)


@each_metric
@each_case
def test_order_changes_nothing(metric, case):
    masks, maps = case
    order = np.random.default_rng(0).permutation(len(masks))
    assert metric(masks[order], maps[order]) == pytest.approx(metric(masks, maps), abs=1e-12)


@each_metric
@each_case
def test_undefined_pixel_figures_are_refused(metric, case):
    masks, maps = case
    infinite = np.where(maps == maps.max(), np.inf, maps)
    for truth in (masks & False, masks | True):
        with pytest.raises(UserError): metric(truth, maps)
    for scores in (maps*np.nan, infinite, maps[:,1:]):
        with pytest.raises(UserError): metric(masks, scores)


@pytest.mark.parametrize('metric', IMAGE.values(), ids=IMAGE)
def test_undefined_image_figures_are_refused(metric):
    for truth, scores in (([0, 0], [1, 2]), ([1, 1], [1, 2]), ([], [])):
        with pytest.raises(UserError, match='only one class'): metric(truth, scores)
    for score in (np.nan, np.inf):
        with pytest.raises(UserError, match='NaN or infinite'): metric([0, 1], [1, score])
    with pytest.raises(UserError, match='must agree'): metric([0, 1], [1, 2, 3])


def test_constant_maps_are_chance():
    "All items are marked, or none: the diagonal, and the share of defective items as precision."
    masks, maps = make_case('smooth')
    flat, share = maps*0 + 3, masks.mean()
    assert (pixel_auroc(masks, flat), average_precision(masks, flat)) == pytest.approx((.5, share), abs=1e-12)
    assert f1_max(masks, flat) == pytest.approx(2*share/(1 + share), abs=1e-12)
    assert [aupro(masks, flat, limit) for limit in (.05, .3, 1)] == pytest.approx([.025, .15, .5], abs=1e-12)
    assert spro(one_defect(masks), flat, .05) == pytest.approx(.025, abs=1e-12)
    with pytest.raises(UserError, match='share the highest score'): aupimo(masks, flat, BOUNDS)


@pytest.mark.parametrize('limit', [0, -.1, 1.1, np.nan])
def test_limits_are_rates(limit):
    masks, maps = make_case('smooth')
    calls = {
        'aupro': lambda: aupro(masks, maps, limit),
        'aupro on a grid': lambda: aupro(masks, maps, limit, 30),
        'spro': lambda: spro(one_defect(masks), maps, limit),
        'pixel_draws': lambda: pixel_draws(np.ones((1, 12)), masks, maps, limit),
    }
    for call in calls.values():
        with pytest.raises(UserError, match='fpr_limit'): call()


FORBIDDEN = ('torch', 'torchvision', 'timm', 'pandas', 'sklearn', 'tqdm', 'matplotlib', 'yaml', 'PIL', 'safetensors')
WITHOUT = f"""
import sys
for name in {FORBIDDEN}: sys.modules[name] = None          # an import of it raises
from mudenet.metrics import aupimo, aupro, average_precision, f1_max, image_auroc, pixel_auroc, spro
from mudenet.metrics import bootstrap, saturated_area
import mudenet.metrics, inspect
assert all(inspect.isfunction(getattr(mudenet.metrics, name)) for name in mudenet.metrics.__all__)
print(*sorted(m for m in sys.modules if m.startswith('mudenet.')))
"""


def test_metrics_need_numpy_and_scipy_alone():
    done = subprocess.run([sys.executable, '-c', WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    below = {name for name in done.stdout.split() if not name.startswith('mudenet.metrics')}
    assert below == {'mudenet.core', 'mudenet.core.errors'}
