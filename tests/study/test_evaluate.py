"The figures of a perfect answer, and the reason for each figure that a dataset does not allow."
from dataclasses import replace
import numpy as np
import pytest, torch
from mudenet.core.config import Score
from mudenet.data.cable import generate_cable
from mudenet.metrics import aupro, average_precision, f1_max, pixel_auroc
from mudenet.model.score import upsample
from mudenet.study.evaluate import auroc_by_type, by_branch, evaluate, spro_by_type

NO_MASKS = 'no masks of the test images'


@pytest.fixture(scope='module')
def ds(): return generate_cable(64, train=2, good=2, defects={'cable_swap': 1, 'bent_wire': 1})


def test_the_masks_themselves_are_a_perfect_answer(ds):
    figures = evaluate(ds, ds.masks.float())
    pro = {'aupro', 'aupro_300', 'aupro_1000', 'aupro_log_300', 'aupro_log_1000'}
    assert {'image_auroc', 'pixel_auroc', *pro} <= set(figures)
    assert [v for v in figures.values() if isinstance(v, float)] == pytest.approx([1.]*11, abs=1e-12)
    assert figures['per_type'] == dict(bent_wire=1., cable_swap=1.)
    assert list(figures['absent']) == ['aupimo']             # 8192 nominal pixels are too few


def test_the_opposite_answer_has_no_area_under_its_curve(ds):
    figures = evaluate(ds, -ds.masks.float())
    assert figures['pixel_auroc'] == 0. and figures['image_auroc'] == .5        # every image's maximum is 0


def test_without_masks_the_figures_of_pixels_are_absent(ds):
    figures = evaluate(replace(ds, masks=None), ds.masks.float())
    assert figures['image_auroc'] == 1. and 'aupro' not in figures
    assert figures['absent'] == dict.fromkeys(('pixel_auroc', 'aupro', 'aupimo'), NO_MASKS)


def test_without_defects_the_figures_of_images_are_absent(ds):
    good = np.flatnonzero(~ds.labels)
    nominal = replace(ds, masks=None, types=['good']*2, test=ds.test[good])
    figures = evaluate(nominal, ds.masks[good].float())
    assert figures['per_type'] == {} and 'image_auroc' not in figures
    assert figures['absent']['image_auroc'] == 'no defective test images'


def test_a_number_of_thresholds_replaces_the_exact_headline(ds):
    maps = torch.rand(ds.masks.shape, generator=torch.Generator().manual_seed(0)) + ds.masks
    exact, stepped = (evaluate(ds, maps, n) for n in (None, 300))
    assert stepped['aupro'] == stepped['aupro_300'] == exact['aupro_300'] != exact['aupro']


def test_every_figure_of_pixels_is_that_of_its_own_function(ds):
    maps = torch.rand(ds.masks.shape, generator=torch.Generator().manual_seed(0)) + ds.masks
    figures, case = evaluate(ds, maps), (ds.masks.numpy(), maps.numpy())
    expected = dict(pixel_auroc=pixel_auroc(*case), aupro=aupro(*case),
                    pixel_average_precision=average_precision(*case), pixel_f1_max=f1_max(*case))
    for n in (300, 1000):
        expected[f'aupro_{n}'] = aupro(*case, num_thresholds=n)
        expected[f'aupro_log_{n}'] = aupro(*case, num_thresholds=n, connectivity=4)
    assert {k: figures[k] for k in expected} == pytest.approx(expected, abs=1e-12)


def test_a_level_alone_is_measured_on_its_upsampled_and_smoothed_maps(ds):
    distances = torch.rand(len(ds.test), 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = by_branch(ds, distances, Score(sigma=8))
    for branch, name in enumerate(('structural', 'logical')):
        for level in range(3):
            figures = evaluate(ds, upsample(distances[:,branch,level], 64, Score(sigma=8)))
            expected = {k: figures[k] for k in found[name][level]}
            assert found[name][level].pop('per_type') == pytest.approx(expected.pop('per_type'))
            assert found[name][level] == pytest.approx(expected, abs=1e-3)      # 8192 pixels: one is 1e-4


def test_each_type_is_measured_against_the_nominal_images_alone():
    assert auroc_by_type(['good', 'cut', 'dent'], [.2, .9, .1]) == {'cut': 1., 'dent': 0.}


def test_a_branch_that_answers_where_the_defects_are_is_told_from_those_that_do_not(ds):
    distances = torch.zeros(len(ds.test), 2, 3, 32, 32)
    distances[:,1,1] = ds.masks[:,::2,::2]
    found = by_branch(ds, distances, Score(sigma=0))
    assert [level['image_auroc'] for level in found['structural']] == [.5]*3
    assert [level['image_auroc'] for level in found['logical']] == [.5, 1., .5]


class TwoDefects:
    "Defects of three images: none, then one of 4 of 8x8 pixels each, of which a quarter suffices."
    shape = (8, 8)

    def __getitem__(self, i):
        mask = np.zeros((8, 8), bool)
        mask[:2,:2] = True
        return [] if i == 0 else [(mask, dict(saturation_threshold=.25, relative_saturation=True))]


def test_a_defect_of_loco_is_found_when_its_threshold_is_met(ds):
    maps = torch.zeros(3, 4, 4)
    maps[1:,0,0] = 1
    types = ['good', 'logical_anomalies', 'structural_anomalies']
    loco = replace(ds, types=types, test=ds.test[:3], masks=None, defects=TwoDefects())
    assert spro_by_type(loco, maps) == pytest.approx(dict.fromkeys(types[1:], 1.))
    assert evaluate(loco, maps)['spro'] == 1.
