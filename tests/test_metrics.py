"Cross-checks against scikit-learn, and what no change of scale may change."
import json
from pathlib import Path
import numpy as np, pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from mudenet.config import UserError
from mudenet.metrics import aupro, image_auroc, pixel_auroc, saturated_area, spro


@pytest.fixture(params=['smooth', 'ties'])
def case(request):
    rng = np.random.default_rng(3)
    masks = np.zeros((12,64,64), bool); masks[:4,10:30,20:33] = masks[2,50:60,40:60] = True
    maps = ndimage.gaussian_filter(rng.random(masks.shape) + .1*masks, (0,2,2)).astype(np.float32)
    return masks, np.round(maps*30)/30 if request.param == 'ties' else maps


def test_pixel_auroc_equals_scikit_learn(case):
    assert pixel_auroc(*case) == pytest.approx(roc_auc_score(case[0].ravel(), case[1].ravel()), abs=1e-12)


@pytest.mark.parametrize('metric', [pixel_auroc, aupro])
def test_scale_and_order_change_nothing(metric, case):
    masks, maps = case
    assert metric(masks, maps.astype(np.float64)*10 + 40) == pytest.approx(metric(masks, maps), abs=1e-9)
    order = np.random.default_rng(0).permutation(len(masks))
    assert metric(masks[order], maps[order]) == pytest.approx(metric(masks, maps), abs=1e-12)


def test_nothing_is_made_up(case):
    masks, maps = case
    for call in (lambda: image_auroc([0, 0], [1, 2]), lambda: aupro(masks & False, maps), lambda: aupro(masks | True, maps), lambda: pixel_auroc(masks, maps*np.nan)):
        with pytest.raises(UserError): call()


ORACLES = Path(__file__).parent/'oracles'      # how they were made is said in their JSON files
PRO, SPRO = (json.loads((ORACLES/f'{n}_oracle.json').read_text()) for n in ('pro', 'spro'))


@pytest.mark.parametrize('name', PRO['cases'])
def test_pro_equals_the_oracle(name):
    arrays = np.load(ORACLES/'pro_oracle.npz')
    for limit, result in PRO['cases'][name]['results'].items():
        assert aupro(arrays[f'{name}_masks'], arrays[f'{name}_maps'], float(limit)) == pytest.approx(result['exact_rational'], abs=1e-12)


@pytest.mark.parametrize('maps', SPRO['results'])
@pytest.mark.parametrize('group', ['all', 'structural_anomalies', 'logical_anomalies'])
def test_spro_equals_the_oracle(maps, group):
    arrays, entries = np.load(ORACLES/'spro_cases.npz'), {e['pixel_value']: e for e in SPRO['defects_config']}
    chosen = [i for i in SPRO['images'] if group == 'all' or i['subdir'] in (group, 'good')]
    defects = [[(arrays['channels'][c] > 0, saturated_area(entries[value], arrays['channels'][c] > 0))
                for c, value in zip(np.flatnonzero(arrays['channel_image'] == i['index']), i['channels'])] for i in chosen]
    for limit, expected in SPRO['results'][maps][group]['exact'].items():
        assert spro(defects, arrays[maps][[i['index'] for i in chosen]], float(limit)) == pytest.approx(expected, abs=1e-12)
