"sPRO equals the oracle file, and looks at each map once."
import json, tracemalloc
from pathlib import Path
import numpy as np, pytest
from scipy import ndimage
from mudenet.core.errors import UserError
from mudenet.metrics import saturated_area, spro

ORACLES = Path(__file__).parent/'oracles'      # how they were made is said in their JSON files
ORACLE = json.loads((ORACLES/'spro_oracle.json').read_text())
DEFECT = np.array([[False]*4, [True]*4])
MAPS = np.array([[[1.,2,3,4],[5,2.5,0,0]]])


def oracle_defects(arrays, image, entries):
    "The defects of an image of the oracle, each with its saturated area."
    masks = arrays['channels'][np.flatnonzero(arrays['channel_image'] == image['index'])] > 0
    return [(mask, saturated_area(entries[value], mask)) for mask, value in zip(masks, image['channels'])]


@pytest.mark.parametrize('maps', ORACLE['results'])
@pytest.mark.parametrize('group', ['all', 'structural_anomalies', 'logical_anomalies'])
def test_spro_equals_the_oracle(maps, group):
    arrays, entries = np.load(ORACLES/'spro_cases.npz'), {e['pixel_value']: e for e in ORACLE['defects_config']}
    chosen = [i for i in ORACLE['images'] if group == 'all' or i['subdir'] in (group, 'good')]
    defects = [oracle_defects(arrays, image, entries) for image in chosen]
    scores = arrays[maps][[i['index'] for i in chosen]]
    expected = ORACLE['results'][maps][group]['exact']
    assert {float(k) for k in expected} >= {.01, .05, .1, .3, 1.}
    for limit, value in expected.items():
        found = spro(defects, scores, float(limit))
        assert found == spro(defects, list(scores), float(limit)) == pytest.approx(value, abs=1e-12)


class Stream:
    "Maps or defects made when they are asked for, once each."
    def __init__(self, make, n): self.make, self.n, self.asked = make, n, []
    def __len__(self): return self.n

    def __getitem__(self, i):
        self.asked.append(i)
        return self.make(i)


@pytest.mark.parametrize('limit', [.01, .05])
def test_spro_holds_a_few_maps_at_a_time(limit):
    n, side = 30, 1024
    field = ndimage.gaussian_filter(np.random.default_rng(0).random((side, side), np.float32), 3)
    mask = np.zeros((side, side), bool)
    mask[50:80,60:100] = True
    maps = Stream(lambda i: np.roll(field, 37*i) + np.float32(.01)*mask*(i < 20), n)
    defects = Stream(lambda i: [(mask, 600)] if i < 20 else [], n)
    streamed = spro(defects, maps, limit)
    assert maps.asked == defects.asked == [*range(n)]
    tracemalloc.start()
    again = spro(Stream(defects.make, n), Stream(maps.make, n), limit)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < field.nbytes*(2*limit*n + 8)           # the pool is twice what can matter; eight maps in hand
    assert again == streamed
    assert again == spro([defects.make(i) for i in range(n)], np.stack([maps.make(i) for i in range(n)]), limit)


@pytest.mark.parametrize('limit', [.01, .05, .3, 1.])
def test_lists_and_streams_give_the_figure_of_the_array(limit):
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 50, (9, 8, 8)).astype(np.float32)
    defects = [[(rng.random((8, 8)) < .2, 3)] if i < 5 else [] for i in range(9)]
    streams = Stream(defects.__getitem__, 9), Stream(maps.__getitem__, 9)
    assert spro(defects, maps, limit) == spro(defects, list(maps), limit) == spro(*streams, limit)
    assert [s.asked for s in streams] == [[*range(9)]]*2


@pytest.mark.parametrize('defects, maps, sentence', [
    ([[]], MAPS, 'needs a defect'),
    ([[(DEFECT | True, 1)]], MAPS, 'needs a nominal pixel'),
    ([[(DEFECT, 9)]], MAPS, 'saturated area is 9'),
    ([[(DEFECT, 2)]], MAPS*np.nan, 'NaN or infinite'),
    ([[(DEFECT, 2)], []], [MAPS[0], MAPS[0].T], r'Map 1 is \(4, 2\) float64'),
    ([[(DEFECT, 2)], []], MAPS, '1 maps and defects of 2 images'),
])
def test_what_spro_refuses(defects, maps, sentence):
    with pytest.raises(UserError, match=sentence): spro(defects, maps)


def test_a_defect_without_a_pixel_is_refused():
    entry = {'defect_name': 'cut', 'saturation_threshold': 1, 'relative_saturation': True}
    with pytest.raises(UserError, match='defect cut marks no pixel'): saturated_area(entry, DEFECT & False)
