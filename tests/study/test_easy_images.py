"On images that anybody can tell apart the figures are nearly perfect, so a sign error cannot pass."
import numpy as np
import pytest, torch
from mudenet.core.config import Augment, Config, apply_delta
from mudenet.data.dataset import Dataset
from mudenet.study.evaluate import evaluate
from mudenet.study.stages import run_stages
from mudenet.study.store import Store

SIZE, NOMINAL, DEFECTIVE, SIDE = 64, 6, 6, 20      # the test images, and the side of a defect in pixels
EASY = apply_delta(Config(), {
    'data.image_size': SIZE, 'network': dict(width=16, channels=32), 'augment': vars(Augment(False, False, 0., 0.)),
    'distill': dict(epochs=4, batch_size=4, backbone='efficientnet_lite0'), 'train': dict(epochs=4, batch_size=4)})


@pytest.fixture(scope='module')
def ds():
    "Plain noisy images; half of the test images hold a large black square."
    rng, n = np.random.default_rng(0), NOMINAL + DEFECTIVE
    train, test = (rng.normal(160, 12, (count, 3, SIZE, SIZE)).clip(0, 255).astype(np.uint8) for count in (24, n))
    masks = torch.zeros(n, SIZE, SIZE, dtype=torch.bool)
    for mask in masks[NOMINAL:]:
        row, column = rng.integers(0, SIZE - SIDE, 2)
        mask[row:row + SIDE, column:column + SIDE] = True
    test = torch.from_numpy(test).masked_fill(masks[:,None], 0)
    types = ['good']*NOMINAL + ['square']*DEFECTIVE
    return Dataset('easy', 'squares', torch.from_numpy(train), test, masks, types, [*map(str, range(n))],
                   [*map(str, range(24))])


@pytest.fixture(scope='module')
def store(tmp_path_factory): return Store(tmp_path_factory.mktemp('stages'))


SCORES = dict(retained={}, third_branch=dict(backbone_branch=True), by_position=dict(normalize_by='position'),
              clamped=dict(clamp=True), unclamped=dict(clamp=False),
              last_level=dict(structural_levels='last'), smooth_first=dict(smooth_first=True))


@pytest.mark.parametrize('score', SCORES.values(), ids=SCORES)
def test_large_black_squares_are_found(score, ds, store):
    metrics = run_stages(ds, apply_delta(EASY, {'score': score}), 42, store).metrics
    assert metrics['image_auroc'] >= .95 and metrics['pixel_auroc'] >= .95 and metrics['aupro'] >= .9


def test_every_level_of_every_branch_tells_the_images_apart(ds, store):
    metrics = run_stages(ds, apply_delta(EASY, {'score.backbone_branch': True}), 42, store).metrics
    alone = {(name, n): level['image_auroc'] for name, levels in metrics['by_branch'].items()
             for n, level in enumerate(levels)}
    assert {name for name, _ in alone} == {'structural', 'logical', 'backbone'} and len(alone) == 9
    assert min(alone.values()) >= .95, alone


def test_the_opposite_maps_fail(ds, store):
    "Over pixels: an opposite map's highest value is the least anomalous spot of an image, which tells nothing of it."
    figures = evaluate(ds, -run_stages(ds, EASY, 42, store).maps)
    assert figures['aupro'] < .05 and figures['pixel_auroc'] < .05
