"What papermill and a terminal hand over: parameters, names of digits, paths, and errors that are one sentence."
import os, subprocess, sys
import pytest
from conftest import last_error, papermill
from layouts import make_folder
from mudenet.core.errors import UserError
from mudenet.study.experiments import load_experiments
from mudenet.study.run import Run, check_parameters, parse_overrides, plan_run, run_parameters

INJECTED = '# Parameters\nsede = 42\n'


@pytest.mark.parametrize('history', [
    ['', INJECTED], ['', '# Parameters\nseed = 1\n', INJECTED], [INJECTED, "# Parameters\nseed, budget = 7, 'smoke'"],
    [INJECTED, '# Parameters for my plots\nalpha = 1']])
def test_the_last_cell_that_papermill_wrote_counts(history):
    with pytest.raises(UserError, match="Parameter 'sede' does not exist; did you mean 'seed'?"):
        check_parameters(history, run_parameters())


@pytest.mark.parametrize('history', [
    [INJECTED, '# Parameters\nseed = 42\n'],                       # corrected, and run again
    ['# Parameters for my plots\nalpha = 1'], ['# Parameters of mine\nsede = 1'],
                                     ["# Parameters\nseed, budget = 7, 'smoke'"],
    ['# Parameters\nalpha = 1; print(alpha)'], ['# Parameters\n%matplotlib inline\nalpha = 1'],
                                     ['# Parameters\na.b = 1'],
    ['# Parameters\na[0] = 1'], ['# Parameters\na = b = 1'], ['# Parameters\nfor i in x: i = 1'], ['# Parameters'],
                                     ['#Parameters\na = 1'],
    ['sede = 1'], []])
def test_anything_else_is_the_user_s_own_business(history): check_parameters(history, run_parameters())


def test_a_notebook_shows_the_sentence_alone(tmp_path):
    done = papermill(tmp_path/'out.ipynb', '-p', 'budget', 'smoek', '-p', 'runs_dir', tmp_path)
    assert done.returncode == 1
    assert last_error(done) == "UserError: Budget 'smoek' does not exist; did you mean 'smoke'?"
    shown = (tmp_path/'out.ipynb').read_text()
    assert 'UserError: Budget' in shown and 'resolve_budget' not in shown and 'plan_run(Run' in shown


@pytest.fixture
def categories(tmp_path):
    "Two categories, of digits and of a word."
    (tmp_path/'data').mkdir()
    for name in ('001', 'no'):
        make_folder(tmp_path/'made')
        (tmp_path/'made'/'nuts').rename(tmp_path/'data'/name)
    return tmp_path/'data'


@pytest.mark.parametrize('given', [1, False])
def test_a_name_that_arrives_as_a_number_gets_a_hint_that_works(given, categories, tmp_path):
    run = dict(budget='smoke', data_root=str(categories), runs_dir=str(tmp_path/'runs'))
    with pytest.raises(UserError, match='there are: 001, no.* papermill takes them as text with: -r category'):
        plan_run(Run(category=given, **run))
    assert plan_run(Run(category='001', **run)).source.category == '001'


@pytest.mark.parametrize('given', [{'': '5'}, {' ': 1}, {5: 5}, '{5: 5}'])
def test_a_value_without_a_name_is_refused(given):
    with pytest.raises(UserError, match='names no field for the value .* write FIELD=VALUE'): parse_overrides(given)


def mudenet(*words, cwd):
    command = [sys.executable, '-m', 'mudenet', *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=cwd)


@pytest.mark.parametrize('words, says', [
    (['run', '--runs-dir', '', '--budget', 'smoke'], 'The runs_dir is empty'),
                                         (['run', '--set', '=5'], 'names no field'),
    (['run', '--data-root', 'set.zip'], 'set.zip is an archive'), (['data', 'check', ''], 'The data folder is empty'),
    (['data', 'unpack', 'set.zip', ''], 'The folder is empty'), (['predict', '', 'a', 'b'], 'images'),
    (['predict', 'a', '', 'b'], 'The folder of images is empty')])
def test_empty_and_wrong_paths_are_one_sentence_and_make_nothing(words, says, tmp_path):
    (tmp_path/'set.zip').write_bytes(b'PK')
    done = mudenet(*words, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count('\n') == 1, done.stderr
    assert os.listdir(tmp_path) == ['set.zip']


def test_every_command_takes_the_same_relative_path(tmp_path):
    make_folder(tmp_path/'pics')
    assert mudenet('data', 'check', 'pics', cwd=tmp_path).returncode == 0
    run = mudenet('run', '--data-root', 'pics', '--budget', 'smoke', '--runs-dir', tmp_path/'runs', '--until',
                  'teacher',
                  '--set', 'distill.epochs=1', cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert not (tmp_path/'~').exists()


# A file of an experiment

def test_an_experiment_may_begin_with_a_mark_and_must_be_utf8(tmp_path):
    (tmp_path/'a.qmd').write_text('---\nid: a\ntitle: Größe\n---\n', 'utf-8-sig')
    assert load_experiments(tmp_path)['a'].title == 'Größe'
    (tmp_path/'a.qmd').write_text('---\nid: a\ntitle: Größe\n---\n', 'latin-1')
    with pytest.raises(UserError, match='a.qmd cannot be read, since it is not UTF-8; save it as UTF-8'):
        load_experiments(tmp_path)


def test_what_needs_the_checkout_says_so(tmp_path):
    with pytest.raises(UserError, match="holds no experiments; they come with the project's checkout"):
        load_experiments(tmp_path)
