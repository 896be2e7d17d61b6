"""Two tiny runs give what they gave when reference_run.json was written.

A stage's result is kept in the store under a key that holds the stage's version, not its code. So whoever changes what
a stage computes must raise its version, and these tests say which.
"""
import pytest
from make_reference import (FILE, RUNS, changed_inputs, changed_results, complaint, config_of, inputs_of, make_images,
                            measure, notebook_of)
from mudenet.core.config import apply_delta
from mudenet.core.files import read_json
from mudenet.study.stages import STAGES
from mudenet.training import students

REFERENCE = read_json(FILE)


@pytest.fixture(scope='module')
def ds(): return make_images()


@pytest.fixture(scope='module')
def inputs(ds):
    "What the runs are given; where it is not what the reference was given, no result can be compared."
    return inputs_of(ds)


def test_the_reference_is_of_these_runs_and_versions(inputs):
    assert not changed_inputs(inputs, REFERENCE['inputs']), changed_inputs(inputs, REFERENCE['inputs'])


@pytest.mark.parametrize('run', RUNS)
def test_every_stage_gives_what_it_gave(run, ds, inputs):
    if changed_inputs(inputs, REFERENCE['inputs']): pytest.skip('the reference is of other runs')
    found = changed_results(measure(run, ds), REFERENCE['runs'][run])
    assert found is None, complaint(run, *found)


# That a change is seen, and where

@pytest.fixture(scope='module')
def sound(ds): return measure('retained', ds)


def times(factor):
    "A change of a function: its result times a factor."
    return lambda function: lambda *args, **options: function(*args, **options)*factor


def figures_times(factor):
    return lambda function: lambda *args: {k: v*factor for k, v in function(*args).items()}


CHANGES = [     # what is changed, and the stages whose results are others first
    ('training.distill.embedding_loss', times(1.01), 'teacher'),
    ('training.students.embedding_loss', times(1.01), 'student1'),
    ('model.mudenet.squared_distance', times(1.01), 'distances'),
    ('model.score.normalization_range', times(1.03), 'range'),
    ('model.score.anomaly_maps', times(1.01), 'maps'),
    ('study.evaluate.pixel_metrics', figures_times(.98), 'metrics')]


@pytest.mark.parametrize('name, change, stage', CHANGES, ids=[name for name, *_ in CHANGES])
def test_a_changed_function_is_seen_and_its_stage_is_named(name, change, stage, ds, sound, monkeypatch):
    module, _, function = name.rpartition('.')
    module = __import__(f'mudenet.{module}', fromlist=[function])
    monkeypatch.setattr(module, function, change(getattr(module, function)))
    changed, wrong = changed_results(measure('retained', ds), sound)
    assert changed.name == stage and wrong
    assert f"raise the version of stage '{stage}' in {notebook_of(changed)}" in complaint('retained', changed, wrong)


@pytest.mark.parametrize('part', ['student1', 'autoencoder', 'student2'])
def test_a_change_of_one_term_names_its_part(part, ds, sound, monkeypatch):
    student_losses = students.student_losses
    def changed(*args, **options):
        terms = student_losses(*args, **options)
        return terms | {f'loss_{part}': terms[f'loss_{part}']*1.01}
    monkeypatch.setattr(students, 'student_losses', changed)
    assert changed_results(measure('retained', ds), sound)[0].name == part


def test_another_version_config_or_image_asks_for_a_new_reference(inputs):
    versions = inputs['versions'] | {'maps': 99}
    assert 'of other versions of its runs; make it anew' in changed_inputs(inputs | {'versions': versions}, inputs)
    assert 'images' in changed_inputs(inputs | {'images': [0., 0., 0.]}, inputs)
    configs = {n: apply_delta(config_of(n), {'train.lr': 1e-3}).hash() for n in RUNS}
    assert 'configs' in changed_inputs(inputs | {'configs': configs}, inputs)
    assert changed_inputs(inputs, inputs) == ''


def test_every_stage_has_a_notebook():
    assert {notebook_of(s).split('/')[1] for s in STAGES} == {'model', 'training', 'study'}
