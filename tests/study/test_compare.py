"Paired differences, verdicts and judgments."
from dataclasses import replace
import pytest
from scipy import stats
from mudenet.study.compare import (
    compare, compare_all, holm, judge, paired, paired_interval, paired_p, seeds_needed, verdict)
from mudenet.study.experiments import Experiment
from mudenet.study.records import group_records, Record

CLEARLY_UP, CLEARLY_DOWN, NARROW, WIDE = (.001, .02), (-.02, -.011), (-.005, .005), (-.02, .02)


def made_record(experiment, seed, pro, budget='cpu', config_hash=None, **metrics):
    dataset = dict(name='n', category='c', benchmark='n', fingerprint='f', train=1, held_out=1, test=1)
    metrics = dict(image_auroc=.9, pixel_auroc=.9, aupro=pro, per_type={}) | metrics
    environment = dict(device='cpu', device_name='d', threads=1)
    images = [dict(path=str(k), type=t, score=float(k)) for k, t in enumerate(('good', 'good', 'cut', 'cut'))]
    return Record(experiment, seed, budget, dict(distill=dict(backbone='b')), config_hash or experiment, environment,
                  dataset, {k: v for k, v in metrics.items() if v is not None}, images, {}, {})


def test_the_interval_is_students_t():
    mean, low, high = paired_interval([.1, 1.3, .6])             # E5.4's gains in image AUROC, as published
    half = 4.3027*(.36333/3)**.5                                 # t(0.975, 2), and the variance of the three
    assert (mean, low, high) == pytest.approx((2/3, 2/3 - half, 2/3 + half), abs=1e-4)


def test_one_seed_has_no_interval():
    one = paired([.5], [.4])
    assert one.interval is None and not one.clear and one.difference == pytest.approx(.1)


def test_an_interval_that_ends_above_zero_is_clear():
    assert paired([.5, .51], [.4, .41]).clear and not paired([.5, .41], [.4, .5]).clear


@pytest.mark.parametrize('differences, says', [
    ((.02, .021, .022), 'kept'), ((-.02, -.021, -.022), 'rejected'), ((.001, 0, -.001), 'equivalent'),
    ((.05, .06, -.01), 'undecided'), ((.005, .006, .02), 'undecided'), ((.02, .021), 'not enough runs')])
def test_the_declared_rule(differences, says):
    assert verdict(paired(list(differences), [0.]*len(differences)), .01) == says


def test_an_experiment_may_declare_more_seeds():
    three = paired([.02, .021, .022], [0., 0., 0.])
    assert verdict(three, .01, 3) == 'kept' and verdict(three, .01, 4) == 'not enough runs'


@pytest.mark.parametrize('differences', [(.1, 1.3, .6), (-.2, .3, .1, .4), (.5, .6)])
def test_p_is_that_of_the_paired_t_test(differences):
    assert paired_p(list(differences)) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_equal_differences_leave_no_doubt():
    assert paired_p([.1, .1]) == 0 and paired_p([0., 0.]) == 1 and paired_p([.1]) is None


def test_p_values_are_adjusted_as_holm_did():
    assert holm([.01, .04, .03]) == pytest.approx([.03, .06, .06]) and holm([.5, .9]) == [1., 1.] and holm([]) == []


@pytest.mark.parametrize('claim, interval, says', [
    ('rises', CLEARLY_UP, 'held'), ('rises', CLEARLY_DOWN, 'contradicted'),
    ('rises', NARROW, 'open'), ('rises', WIDE, 'open'),
    ('falls', CLEARLY_UP, 'contradicted'), ('falls', CLEARLY_DOWN, 'held'),
    ('falls', NARROW, 'open'), ('falls', WIDE, 'open'),
    ('stays', CLEARLY_UP, 'open'), ('stays', CLEARLY_DOWN, 'contradicted'),
    ('stays', NARROW, 'held'), ('stays', WIDE, 'open')])
def test_what_an_interval_says_of_a_claim(claim, interval, says): assert judge(claim, interval, .01) == says


@pytest.mark.parametrize('claim, interval, margin, effect, before, says', [
    ('rises', (-.01, .02), .01, .015, .9, 'open'), ('rises', (-.01, .02), .01, .05, .9, 'not that large'),
    ('rises', (-.01, .02), .01, .05, .96, 'no room'), ('rises', (-.001, -.001), .01, .05, .999, 'no room'),
    ('stays', (-.004, -.002), .001, None, 0., 'contradicted'), ('falls', (-.01, .02), .01, -.05, .9, 'not that large')])
def test_a_published_effect_can_be_too_large_to_be_seen(claim, interval, margin, effect, before, says):
    assert judge(claim, interval, margin, effect, before) == says


@pytest.mark.parametrize('effect, deviation, seeds', [(1., 1., 10), (.5, 1., 34), (.01, 1., None), (.01, 1e-17, 2)])
def test_seeds_needed_are_those_of_a_paired_t_test(effect, deviation, seeds):
    assert seeds_needed(effect, deviation) == seeds


CHILD = Experiment('e', 'E', 'p', decision=dict(metric='aupro', gain=.01))
PARENTS = [made_record('p', seed, .8) for seed in (7, 42, 123)]


def test_a_child_meets_its_parent_in_its_own_setting_alone():
    children = [made_record('e', seed, .82 + noise) for seed, noise in ((7, -.001), (42, .001), (123, 0), (5, 0))]
    groups = group_records([*PARENTS, *children, made_record('p', 42, .1, 'smoke')])
    found, = compare_all({'p': Experiment('p', 'P'), 'e': CHILD}, groups)
    assert [found] == [replace(c, adjusted=found.adjusted) for c in compare(CHILD, groups)]
    assert found.adjusted == found.metrics['aupro'].p                     # the only one
    assert (found.experiment, found.parent, found.verdict, found.seeds) == ('e', 'p', 'kept', [7, 42, 123])
    assert found.setting == PARENTS[0].setting and (found.config_hash, found.parent_hash) == ('e', 'p')
    assert found.metrics['aupro'].interval == pytest.approx((.02 - .00248, .02 + .00248), abs=1e-4)
    assert found.metrics['aupro'].differences == pytest.approx([.019, .021, .02])


def test_a_change_that_changes_nothing_is_the_same():
    groups = group_records([*PARENTS, *(made_record('e', seed, .8, config_hash='p') for seed in (7, 42, 123))])
    assert compare(CHILD, groups)[0].verdict == 'the same'


def test_what_is_not_measured_has_no_verdict():
    groups = group_records([*PARENTS, made_record('e', 7, None), made_record('e', 42, .9)])
    found, = compare(CHILD, groups)
    assert found.verdict == 'not measured' and set(found.metrics) == {'image_auroc', 'pixel_auroc'}
    assert compare(Experiment('e', 'E', 'p'), groups)[0].verdict == 'no rule'


def test_records_without_a_common_seed_do_not_meet():
    assert compare(CHILD, group_records([*PARENTS, made_record('e', 5, .9)])) == []
