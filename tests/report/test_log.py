"What a page may say of the experiments, as data frames."
from dataclasses import replace
import numpy as np, pytest
from made_log import LOG, made_record, NOTHING_RAN, with_gains, with_records
from mudenet.report.log import (
    beside_bank, changes, claims_frame, effects_frame, published_comparison, rule_text, runs_frame)
from mudenet.study.compare import compare_all
from mudenet.study.experiments import METRICS
from mudenet.study.records import COMPARATOR

MADE = with_gains(**{
    'exp1': 0, 'exp2': .03, 'exp2a': .01, 'exp2b': -.02, 'screening-baseline': .03, 'exp4': .01, 'e5.5': .05,
    'e5.2': .08, 'retained': .04, COMPARATOR: .1})


def test_the_order_is_that_of_the_published_log():
    assert set(LOG.dates) <= set(LOG.experiments)
    order = list(LOG.experiments)
    assert order.index('e5.5') < order.index('e5.6') < order.index('e5.4') < order.index('e5.7')
    assert order[:len(LOG.dates)] == list(LOG.dates)          # ours follow


def test_comparisons_are_those_of_each_experiment():
    assert MADE.comparisons == compare_all(MADE.experiments, MADE.groups)


def test_the_main_setting_is_that_of_most_experiments():
    other = made_record('e5.4', environment=dict(device='cuda', device_name='a GPU', threads=1))
    made = with_records(made_record('exp1'), made_record('exp2'), other)
    assert made.setting == made_record().setting and NOTHING_RAN.setting is None


def test_published_figures_have_an_interval():
    p = published_comparison(LOG, 'e5.4').metrics['image_auroc']
    d = np.array([.013, .001, .006])                          # 94.6 - 93.3, 95.0 - 94.9, 95.1 - 94.5
    half = 2.484*d.std(ddof=1)                                # t(0.975, 2)/sqrt(3) = 2.484
    assert p.difference == pytest.approx(d.mean())
    assert p.interval == pytest.approx((d.mean() - half, d.mean() + half), abs=1e-4)


@pytest.mark.parametrize('id', ['retained', 'exp12'])         # not reported; 500 epochs, its parent 100
def test_what_does_not_compare_is_not_compared(id): assert published_comparison(LOG, id) is None


def test_a_change_of_the_protocol_compares(): assert published_comparison(LOG, 'screening-baseline').seeds == [42]


def test_every_run_is_a_row():
    runs = runs_frame(MADE)
    assert len(runs) == 30 and set(METRICS) <= set(runs) and set(runs.data) == {'generated cable'}
    assert runs_frame(NOTHING_RAN).empty


def test_an_effect_is_the_mean_paired_difference():
    effects = effects_frame(MADE).set_index(['experiment', 'data', 'metric'])
    assert effects.loc[('exp2', 'generated cable', 'aupro'), 'difference'] == pytest.approx(.033)       # 3.3 - 0
    assert effects.loc[('exp2', 'generated cable', 'aupro'), 'verdict'] == 'kept'
    assert effects.loc[('e5.5', 'reported', 'aupro'), 'difference'] == pytest.approx(.03)
    assert 'PRO +3.3' in effects.loc[('exp2', 'generated cable', 'aupro'), 'tip']


def test_a_configuration_that_is_its_parents_has_no_effect():
    same = replace(made_record('e5.4'), config_hash='one')
    made = with_records(replace(made_record('e5.5'), config_hash='one'), same)
    assert (effects_frame(made).data == 'reported').all()


def test_trials_on_a_category_weaken_its_verdict():
    tried = next(e for e in LOG.experiments.values() if e.tried_on and e.decision and e.parent)
    dataset = made_record().dataset
    for images, chosen in ((dict(category=tried.tried_on[0]), True), ({}, False)):
        records = (made_record(id, dataset=dataset | images) for id in (tried.parent, tried.id))
        effects = effects_frame(with_records(*records))
        assert (effects[(effects.experiment == tried.id) & (effects.data != 'reported')].chosen == chosen).all()


def test_trials_on_a_generated_dataset_weaken_its_verdict():
    dataset = made_record().dataset | dict(name='generated-1')
    effects = effects_frame(with_records(*(made_record(id, dataset=dataset) for id in ('together', 'best'))))
    assert effects[(effects.experiment == 'best')].chosen.all()


def test_conclusions_are_judged_by_our_intervals():
    claims = claims_frame(MADE)
    assert (claims[claims.experiment == 'exp4'].found == 'held').all()
    assert (claims[claims.experiment == 'e5.2'].found == 'contradicted').all()
    assert (claims[claims.experiment == 'exp2'].found == 'other protocol').all()        # of 500 epochs, at cpu


def test_the_memory_bank_is_compared_on_the_same_seeds():
    rows = beside_bank(MADE).set_index(['experiment', 'metric'])
    assert rows.loc[('retained', 'PRO'), 'difference'] == pytest.approx(-.066)          # 1.1 times 4 - 10
    assert COMPARATOR not in rows.index.get_level_values(0)


def test_a_change_and_its_rule_are_written_in_words():
    assert changes(LOG.experiments['e5.4']) == 'train.lr_schedule = cosine'
    assert rule_text(LOG.experiments['e5.4']).startswith('Kept if the mean PRO rises by at least 1 point and')


def test_an_experiment_is_named_in_words():
    assert LOG.name('e5.4') == "the log's last configuration" and LOG.name('exp3') == 'Global statistics for the target'
    assert LOG.link('exp3') == '<a href="exp3.html">Global statistics for the target</a> <small>exp3</small>'
