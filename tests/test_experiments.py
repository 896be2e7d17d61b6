"What every experiment of the log does after its parent, and that reuse changes no bit."
import pytest
from mudenet.config import BUDGETS
from mudenet.experiments import config_of, load_experiments
from mudenet.stages import STAGES, stage_keys, stages_changed

ALL = [s.name for s in STAGES]
STUDENTS, LOGICAL, S2, SCORES, LIMITS, MAPS, METRICS = (ALL[ALL.index(n):] for n in ('s1', 'autoencoder', 's2', 'scores', 'limits', 'maps', 'metrics'))
AFTER_PARENT = {
    'baseline': ALL, 'exp1': MAPS, 'exp1-sigma2': MAPS, 'exp1-sigma6': MAPS, 'exp1-sigma8': MAPS,
    'exp2': LOGICAL, 'exp2a': LOGICAL, 'exp2b': LOGICAL, 'exp3': ALL, 'screening-baseline': [], 'exp4': ALL,
    'e5.1': METRICS, 'e5.1-300': METRICS, 'e5.2': MAPS, 'e5.3': MAPS, 'e5.4': STUDENTS, 'e5.5': ALL, 'e5.5a': ALL, 'e5.5b': ALL,
    'e5.6': ALL, 'e5.7': ALL, 'e5.8': ALL, 'a-003a': ALL, 'a-003b': ALL, 'a-004a': ALL, 'a-004b': ALL,
    'separate-optimizers': STUDENTS, 'weight-decay': STUDENTS, 'grad-clip': STUDENTS, 'warmup': STUDENTS,
    'exp12': STUDENTS, 'exp13': STUDENTS, 'exp14': MAPS, 'exp14b': MAPS, 'exp15': LIMITS, 'exp15b': LIMITS,
    'sum-loss': ALL, 'ae-batchnorm': LOGICAL, 'loss-weights': S2, 'strong-jitter': ALL, 'phase-b': [],
    'structural-last': MAPS, 'backbone-branch': SCORES, 'last-backbone': SCORES, 'position-limits': LIMITS,
    'distill-cosine': ALL, 'cosine-last-backbone': ALL, 'strides-8-16': ALL, 'no-rotation': [], 'best': [], 'upright': [], 'upright-position': LIMITS}        # cable's row has neither rotation nor a vertical flip
LOG = load_experiments()


def test_the_table_names_every_experiment(): assert set(AFTER_PARENT) == set(LOG) - {'retained'}


@pytest.mark.parametrize('id', AFTER_PARENT)
def test_stages_that_an_experiment_runs_after_its_parent(id):
    one, parent = (config_of(e, 'screening', LOG) for e in (id, LOG[id].parent))
    assert stages_changed(one, parent) == AFTER_PARENT[id]


@pytest.mark.parametrize('budget', BUDGETS)
def test_every_experiment_resolves_at_every_budget(budget):
    for id in LOG: assert len(stage_keys(config_of(id, budget, LOG), 42, '')) == len(STAGES)


def test_the_retained_configuration_is_the_end_of_the_log_with_the_clamp():
    from mudenet.config import apply_delta
    end = apply_delta(config_of('e5.4', 'full', LOG), {'score.clamp': True})
    assert end == apply_delta(config_of('retained', 'full', LOG), {'augment': {'vertical_flip': False, 'color_jitter': .1}})
