"Draws give the figures of resampled arrays; intervals hold the figures."
import numpy as np, pytest
from metric_cases import each_case, make_case
from mudenet.core.errors import UserError
from mudenet.metrics import aupro, bootstrap, image_auroc, pixel_auroc
from mudenet.metrics.resampling import (
    DRAWS, draw_counts, draw_faults, image_draws, paired_draws, pixel_draws, record_draws)


@each_case
@pytest.mark.parametrize('limit', [.05, .3])
def test_draws_equal_the_figures_of_resampled_arrays(case, limit):
    masks, maps = case
    labels, scores = masks.any((1, 2)), maps.max((1, 2))
    counts = draw_counts(labels, 12, 5)
    found = zip(image_draws(counts, labels, scores), *pixel_draws(counts, masks, maps, limit))
    for count, figures in zip(counts, found):
        taken = np.repeat(np.arange(12), count.astype(int))
        m, x = masks[taken], maps[taken]
        expected = image_auroc(labels[taken], scores[taken]), pixel_auroc(m, x), aupro(m, x, limit)
        assert figures == pytest.approx(expected, abs=1e-12)


@each_case
def test_intervals_hold_the_figures(case):
    masks, maps = case
    labels, scores = masks.any((1, 2)), maps.max((1, 2))
    found = bootstrap(labels, scores, masks, maps, draws=300, seed=1)
    expected = [image_auroc(labels, scores), pixel_auroc(masks, maps), aupro(masks, maps)]
    assert [f.value for f in found.values()] == pytest.approx(expected, abs=1e-9)
    narrow = bootstrap(labels, scores, masks, maps, draws=300, seed=1, level=.5)
    for name, figure in found.items():
        assert figure.low <= narrow[name].low <= narrow[name].high <= figure.high
        assert figure.low < figure.high
    assert bootstrap(labels, scores, masks, maps, draws=300, seed=1) == found


def test_a_perfect_map_has_no_width():
    masks, _ = make_case('smooth')
    labels = masks.any((1, 2))
    assert bootstrap(labels, labels, masks, masks, draws=20)['aupro'] == pytest.approx([1.]*3, abs=1e-12)


@pytest.mark.parametrize('change', [
    {'labels': np.ones(12, bool)}, {'labels': np.ones(3, bool)}, {'level': 1}, {'draws': 0},
    {'masks': np.zeros((12, 64, 64), bool)}, {'maps': np.full((12, 64, 64), np.nan)}, {'scores': np.full(12, np.inf)},
], ids=['one class', 'three labels', 'level', 'draws', 'masks', 'maps', 'scores'])
def test_intervals_are_refused_where_no_figure_is_defined(change):
    masks, maps = make_case('smooth')
    inputs = {'labels': masks.any((1, 2)), 'scores': maps.max((1, 2)), 'masks': masks, 'maps': maps, 'draws': 5}
    with pytest.raises(UserError): bootstrap(**inputs | change)


@pytest.mark.parametrize('of', [bootstrap, lambda labels, scores, masks, maps: record_draws(labels, masks, maps)])
def test_labels_of_another_meaning_are_refused(of):
    masks, maps = make_case('smooth')
    labels, scores = masks.any((1, 2)).astype(float), maps.max((1, 2))
    labels[0] = np.nan
    with pytest.raises(UserError, match='hold the values'): of(labels, scores, masks, maps)


def test_records_share_their_draws_and_hide_no_difference_between_maps():
    masks, maps = make_case('smooth')
    labels = masks.any((1, 2))
    own, better = record_draws(labels, masks, maps), record_draws(labels, masks, maps + masks)
    assert {name: len(values) for name, values in own.items()} == dict(pixel_auroc=DRAWS, aupro=DRAWS)
    assert paired_draws([own['aupro']]*2, [own['aupro']]*2) == (0, 0)
    assert paired_draws([better['aupro']], [own['aupro']])[0] > 0 and record_draws(labels) == {}
    assert draw_faults(own, dict(pixel_auroc=pixel_auroc(masks, maps), aupro=aupro(masks, maps))) == []
    assert len(draw_faults(own, dict(pixel_auroc=0., aupro=0.))) == 2
