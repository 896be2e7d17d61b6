"What an experiment runs after its parent, and that a result taken from the store has the bits of one made afresh."
import shutil
from dataclasses import replace
import pytest, torch
from conftest import comparable, smoke_job
from mudenet.core.config import BUDGETS, Augment, Config, apply_delta, resolve_augment
from mudenet.core.stage import StageResult
from mudenet.data.cable import generate_cable
from mudenet.model.mudenet import NETWORKS
from mudenet.study.execute import execute
from mudenet.study.experiments import ancestry, config_of, load_experiments
from mudenet.study.stages import STAGES, run_stages, stage_keys, stages_changed
from mudenet.study.store import Store

ALL = [s.name for s in STAGES]
LOG = load_experiments()


def since(name): return ALL[ALL.index(name):]


# keys

AFTER_PARENT = {
    'e5.1': since('metrics'), 'structural-last': since('maps'), 'position-limits': since('range'),
    'backbone-branch': since('distances'), 'loss-weights': since('student2'), 'exp2': since('autoencoder'),
    'e5.4': since('student1'), 'no-rotation': []}         # cable's row has no rotation


@pytest.mark.parametrize('id', AFTER_PARENT)
def test_an_experiment_runs_the_stages_from_the_first_that_reads_its_change(id):
    one, parent = (config_of(e, 'screening', LOG) for e in (id, LOG[id].parent))
    assert stages_changed(one, parent) == AFTER_PARENT[id]


@pytest.mark.parametrize('delta, first', [
    ({'metric.num_thresholds': 300}, 'metrics'), ({'score.sigma': 2}, 'maps'),
    ({'score.normalize_on': 'train'}, 'range'), ({'train.student2_weight': 2}, 'student2'),
    ({'network.decoder_relu': True}, 'autoencoder'), ({'train.autoencoder_weight': 2}, 'autoencoder'),
    ({'train.lr': 1e-4}, 'student1'), ({'distill.lr': 1e-4}, 'teacher')])
def test_a_change_reaches_the_first_stage_that_reads_it_and_all_behind_it(delta, first):
    assert stages_changed(apply_delta(Config(), delta), Config()) == since(first)


def test_the_weight_of_the_first_student_leaves_the_autoencoder_and_what_follows_it():
    changed = stages_changed(apply_delta(Config(), {'train.student1_weight': 2}), Config())
    assert changed == ['student1', *since('distances')]


def test_the_autoencoder_reads_what_the_second_student_reads_only_where_it_is_not_detached():
    attached = apply_delta(Config(), {'train.detach': False})
    for parent, reads in ((Config(), False), (attached, True)):
        changed = stages_changed(apply_delta(parent, {'train.student2_weight': 2}), parent)
        assert ('autoencoder' in changed) == reads


def test_seed_data_and_device_change_every_key():
    plain = stage_keys(Config(), 42, 'images')
    for other in ((7, 'images', 'cpu'), (42, 'other', 'cpu'), (42, 'images', 'cuda')):
        assert not set(plain.values()) & set(stage_keys(Config(), *other).values())


def test_a_raised_version_changes_its_stage_and_those_behind_it(monkeypatch):
    before = stage_keys(Config(), 42, 'images')
    raised = tuple(replace(s, version=99) if s.name == 'range' else s for s in STAGES)
    monkeypatch.setattr('mudenet.study.stages.STAGES', raised)
    after = stage_keys(Config(), 42, 'images')
    assert [name for name in ALL if after[name] != before[name]] == since('range')


@pytest.mark.parametrize('budget', BUDGETS)
def test_every_experiment_resolves_at_every_budget(budget):
    for id in LOG: assert len(stage_keys(config_of(id, budget, LOG), 42, '')) == len(STAGES)


def test_the_defaults_are_the_configuration_at_the_end_of_the_log():
    assert [e.id for e in ancestry('retained', LOG)][-2:] == ['e5.4', 'retained']
    defaults = {'augment': vars(resolve_augment(Config().augment, 'HC'))}
    assert config_of('retained', 'full', LOG) == apply_delta(Config(), defaults)


# bits

@pytest.fixture(scope='module')
def ds(): return generate_cable(64, train=12, good=3, defects={'cable_swap': 2, 'missing_cable': 2})


@pytest.fixture(scope='module')
def smoke():
    config = apply_delta(Config(), BUDGETS['smoke'])
    return apply_delta(config, {'augment': vars(Augment(True, False, 0., .1))})


@pytest.fixture(scope='module')
def store(ds, smoke, tmp_path_factory):
    "A store that holds one run."
    store = Store(tmp_path_factory.mktemp('stages'))
    assert run_stages(ds, smoke, 42, store).reused == []
    return store


def test_the_cpu_gives_the_same_bits_without_being_asked(store):
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_second_run_takes_everything(ds, smoke, store):
    assert run_stages(ds, smoke, 42, store).reused == ALL
    assert run_stages(ds, smoke, 42, store, until='teacher').reused == ['teacher']


def test_other_smoothing_takes_the_networks_and_their_distances(ds, smoke, store):
    smoother = apply_delta(smoke, {'score.sigma': 2})
    assert run_stages(ds, smoother, 42, store).reused == [*NETWORKS, 'distances', 'range']


def test_a_part_trained_beside_reused_ones_has_the_bits_of_a_fresh_run(ds, smoke, store, tmp_path):
    heavier = apply_delta(smoke, {'train.student2_weight': 3})
    reusing, alone = run_stages(ds, heavier, 42, store), run_stages(ds, heavier, 42, Store(tmp_path))
    assert reusing.reused == ['teacher', 'student1', 'autoencoder'] and alone.reused == []
    assert torch.equal(reusing.maps, alone.maps)
    assert reusing.losses == alone.losses and reusing.metrics == alone.metrics


def test_an_experiment_takes_what_others_did_and_gives_the_bits_of_a_fresh_run(smoke_run, tmp_path):
    parent, images, _ = smoke_run
    shutil.copytree(parent.runs_dir, tmp_path/'shared')
    takes = {'loss-weights': ['teacher', 'student1', 'autoencoder'], 'baseline': [],
             'exp1': [*NETWORKS, 'distances', 'range'], 'exp2': ['teacher', 'student1']}     # one after the other
    for experiment, reused in takes.items():
        folders = (tmp_path/'shared', tmp_path/experiment)
        with_reuse, alone = (execute(smoke_job(folder, experiment), images).record for folder in folders)
        assert with_reuse.reused == reused and not alone.reused
        assert comparable(with_reuse) == comparable(alone)


# the store

def test_a_result_comes_back_with_its_facts_and_a_damaged_one_is_set_aside(tmp_path, capsys):
    store = Store(tmp_path)
    assert store.read('maps', 'k') is None
    store.write('maps', 'k', StageResult({'x': torch.eye(2)}, {'seconds': 1.}))
    kept = store.read('maps', 'k')
    assert torch.equal(kept.tensors['x'], torch.eye(2)) and kept.facts == {'seconds': 1.}
    store.path('maps', 'k').write_bytes(b'half')
    assert store.read('maps', 'k') is None
    assert 'is set aside as result.safetensors.aside1' in capsys.readouterr().out
