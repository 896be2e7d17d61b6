"The published log's protocol and the paper's: which images train, how many steps that is, where the range comes from."
import pytest, torch
from mudenet.core.config import apply_delta, BUDGETS, Config
from mudenet.data.augment import epoch_batches, epoch_draws
from mudenet.data.cable import generate_cable
from mudenet.data.dataset import split_holdout
from mudenet.metrics import aupro
from mudenet.study.evaluate import evaluate
from mudenet.study.experiments import ancestry, config_of, load_experiments
from mudenet.study.stages import split_images

LOG = load_experiments()
OURS = {'retained', 'phase-b-exp14'}      # where our protocol begins: their descendants inherit it


@pytest.fixture(scope='module')
def ds(): return generate_cable(64, train=20, good=2, defects={'bent_wire': 2})


def steps(n, batch_size): return len(epoch_batches(epoch_draws(n, torch.Generator().manual_seed(0)), batch_size))


def test_cable_has_28_steps_an_epoch_in_the_log_and_26_with_held_out_images():
    assert steps(224, 8) == 28 and steps(202, 8) == 26
    assert len(split_holdout(224, .1, 42)[0]) == 202


def test_the_log_trains_on_all_images_and_takes_the_range_from_a_tenth_of_them(ds):
    train_idx, calibration_idx = split_images(ds, config_of('e5.4', 'cpu', LOG), 42)
    assert train_idx.tolist() == list(range(20)) and len(calibration_idx) == 2
    assert set(calibration_idx.tolist()) <= set(train_idx.tolist())


def test_ours_never_trains_on_the_images_that_give_the_range(ds):
    train_idx, calibration_idx = split_images(ds, config_of('retained', 'cpu', LOG), 42)
    assert len(train_idx) == 18 and not set(calibration_idx.tolist()) & set(train_idx.tolist())


def test_both_protocols_draw_the_same_images(ds):
    seen, held_out = (split_images(ds, config_of(id, 'cpu', LOG), 7)[1] for id in ('e5.4', 'retained'))
    assert torch.equal(seen, held_out)


@pytest.mark.parametrize('id', LOG)
def test_the_logs_rows_have_the_logs_protocol(id):
    chain = [e.id for e in ancestry(id, LOG)]
    expected = 'held-out' if OURS & set(chain) else 'seen'
    assert config_of(id, 'screening', LOG).data.calibration == expected


def test_the_default_is_what_retained_says():
    config = apply_delta(Config(), BUDGETS['full'])
    for e in ancestry('retained', LOG): config = apply_delta(config, e.change)
    assert config == Config()


def test_the_root_of_the_log_is_its_baseline():
    assert [e.id for e in LOG.values() if e.parent is None] == ['baseline']
    assert [e.id for e in ancestry('retained', LOG)][-2:] == ['e5.4', 'retained']


def test_other_categories_keep_their_own_augmentation_from_e5_5_on():
    before, after = (config_of(id, 'cpu', LOG, 'HVR').augment for id in ('screening-baseline', 'e5.5'))
    assert (before.vertical_flip, before.color_jitter) == (True, 0.)       # cable's wrong row
    assert (after.vertical_flip, after.rotation, after.color_jitter) == (True, 90., 0.)


def test_pro_as_the_log_measured_it_counts_regions_by_four_neighbors(ds):
    maps = torch.rand(len(ds.test), 64, 64, generator=torch.Generator().manual_seed(0))
    figures, masks = evaluate(ds, maps), ds.masks.numpy()
    for n in (300, 1000):
        expected = aupro(masks, maps.numpy(), num_thresholds=n, connectivity=4)
        assert figures[f'aupro_log_{n}'] == pytest.approx(expected, abs=1e-12)
