"The command `mudenet`: text and JSON of each command, refusals in one sentence, help that starts no work."
import json, os, shlex, shutil, signal, subprocess, sys
from importlib.metadata import version
import pytest, torch
from conftest import ROOT
from layouts import make_good_only, make_mvtec_ad, mask
from mudenet.__main__ import COMMANDS, main
from mudenet.study.execute import measure_bank
from mudenet.study.experiments import ancestry, load_experiments
from mudenet.study.records import COMPARATOR
from mudenet.study.stages import STAGES
from PIL import Image

HEAVY = ('torch', 'pandas', 'sklearn', 'scipy.stats', 'matplotlib')
SMOKE = ['--budget', 'smoke']


def say(capsys, *args, status=0):
    "Type a command; returns what it printed."
    assert main([*map(str, args)]) == status
    return capsys.readouterr().out


def say_json(capsys, *args, status=0):
    "Type a command with --json; returns what it printed, read back."
    return json.loads(say(capsys, *args, '--json', status=status))


# Text and JSON

@pytest.mark.parametrize('args, says', [
    (['list'], 'screening-baseline'), (['show', 'e5.4'], 'lr_schedule: cosine'),
    (['show', 'exp1'], 'runs: [maps, metrics]'),
    (['plan', '--budget', 'screening', '--device', 'cpu'], 'epochs instead of'),
    (['audit'], 'its base figures are not those of screening-baseline'),
    (['data', 'list'], 'mvtec.com, CC BY-NC-SA 4.0')])
def test_what_the_study_knows_in_text_and_json(args, says, capsys):
    assert says in say(capsys, *args)
    assert say_json(capsys, *args)


def test_the_table_has_a_row_for_each_comparison_and_says_when_there_is_none(capsys):
    rows, lines = say_json(capsys, 'table'), say(capsys, 'table').splitlines()
    if rows: assert 'verdict' in lines[0] and len(lines) == len(rows) + 2
    else: assert lines == ['No experiment and its parent have records on the same seed yet.']


def test_a_list_has_every_experiment_and_a_plan_every_run(capsys, tmp_path):
    log = load_experiments()
    assert [row['id'] for row in say_json(capsys, 'list')] == list(log)
    asked = ['plan', '--experiments', 'baseline,exp1,exp2,exp4', '--seeds', '42,7', '--budget', 'screening',
             '--device', 'cpu', '--runs-dir', tmp_path]
    assert [say_json(capsys, *asked)[k] for k in ('runs', 'to_run', 'naive_epochs')] == [8, 8, 1600]
    assert '8 of 8 runs to do' in say(capsys, *asked)


def test_an_experiment_is_shown_with_its_ancestors_config_and_stages(capsys):
    log = load_experiments()
    found = say_json(capsys, 'show', 'exp1', '--budget', 'full')
    assert found['ancestors'] == [e.id for e in ancestry('exp1', log)[:-1]] and found['ancestors'][-1] == 'baseline'
    assert found['runs'] == ['maps', 'metrics'] and found['config']['data']['image_size'] == 256
    root, *_ = (e.id for e in log.values() if e.parent is None)
    assert say_json(capsys, 'show', root)['runs'] == [s.name for s in STAGES]


@pytest.fixture
def runs(smoke_run):
    "The folder of runs that holds the finished smoke run; the command finds it there."
    return smoke_run[0].runs_dir


def test_a_run_in_text_and_json(smoke_run, runs, capsys):
    command, record = ['run', 'retained', *SMOKE, '--runs-dir', runs], smoke_run[2].record
    names, figures = say(capsys, *command).splitlines()[-2:]
    assert names.split()[:1] == ['image_auroc'] and figures.split()[0] == f'{record.value("image_auroc"):.4f}'
    assert main([*map(str, command), '--json']) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == record.to_dict() and 'This run is finished' in err        # JSON stands alone


def test_a_trial_takes_settings_and_may_stop_after_the_teacher(runs, capsys):
    command = ['run', 'retained', *SMOKE, '--runs-dir', runs, '--set', 'train.epochs=2', '--set', 'score.sigma=2',
               '--until', 'teacher']
    assert say(capsys, *command) == 'The teacher is in the store already.\n'
    assert list(say_json(capsys, *command)) == [s.name for s in STAGES]            # their keys
    assert not list(runs.glob('retained+*/*/*/record.json'))


def test_finished_runs_are_not_started_again(runs, capsys, monkeypatch):
    monkeypatch.setattr(signal, 'signal', lambda *_: None)          # the handler is the process's, here pytest's
    command = ['several', 'retained:42', *SMOKE, '--runs-dir', runs]
    assert 'retained-cable-seed42  finished' in say(capsys, *command)
    assert say_json(capsys, *command) == [dict(run='retained-cable-seed42', state='finished')]


def test_a_memory_bank_in_text_and_json(smoke_run, tmp_path, capsys):
    command = ['memory-bank', *SMOKE, '--runs-dir', tmp_path]
    assert 'image_auroc' in say(capsys, *command)
    record, expected = say_json(capsys, *command), measure_bank(*smoke_run[:2]).record
    assert record['experiment'] == COMPARATOR and record['images'] == expected.images
    folder = tmp_path/COMPARATOR/expected.folder/'seed42'
    assert json.loads((folder/'record.json').read_text()) == record


def test_a_memory_bank_without_defects_says_what_it_cannot_measure(tmp_path, capsys):
    make_good_only(tmp_path/'data')
    said = say(capsys, 'memory-bank', *SMOKE, '--data-root', tmp_path/'data', '--runs-dir', tmp_path/'runs')
    names, reasons = said.splitlines()[-2:]
    assert names.split()[0] == 'image_auroc' and reasons.startswith('no defective test images')


def test_images_too_large_for_the_memory_are_one_sentence(monkeypatch, capsys):
    def full(self): raise MemoryError('Unable to allocate 10.9 TiB')
    monkeypatch.setattr(COMMANDS['list'], '__call__', full)
    assert main(['list']) == 2
    out, err = capsys.readouterr()
    assert out == '' and 'not enough memory (Unable to allocate 10.9 TiB); take smaller' in err and err.count('\n') == 1


def test_what_torch_cannot_allocate_is_one_sentence(monkeypatch, capsys):
    def full(self): torch.empty(10**15)
    monkeypatch.setattr(COMMANDS['list'], '__call__', full)
    assert main(['list']) == 2
    assert 'not enough memory' in (err := capsys.readouterr().err) and err.count('\n') == 1
    def wrong(self): torch.zeros(2) @ torch.zeros(3)
    monkeypatch.setattr(COMMANDS['list'], '__call__', wrong)
    with pytest.raises(RuntimeError, match='size'): main(['list'])


@pytest.mark.parametrize('redirection, status, says', [
    ('> /dev/full', 2, 'The answer cannot be written (No space left on device); free some space'), ('>&-', 0, ''),
    ('> /dev/null', 0, '')])
def test_standard_output_may_be_full_closed_or_of_another_encoding(redirection, status, says):
    command = f'PYTHONIOENCODING=ascii {shlex.quote(sys.executable)} -m mudenet table {redirection}'
    done = subprocess.run(['bash', '-c', command], capture_output=True, text=True)
    assert done.returncode == status and done.stderr.startswith(says) and done.stderr.count('\n') == bool(says)


def test_a_dataset_is_checked_and_its_faults_end_with_1(tmp_path, capsys):
    make_mvtec_ad(tmp_path)
    assert 'Nothing is wrong.' in say(capsys, 'data', 'check', tmp_path)
    rows = say_json(capsys, 'data', 'check', tmp_path, '--dataset', 'mvtec_ad')
    assert [(r['category'], r['faults']) for r in rows] == [('nut', [])]
    mask(tmp_path/'nut/ground_truth/cut/001_mask.png', shape=(50, 50))
    said = say(capsys, 'data', 'check', tmp_path, status=1)
    assert '001_mask.png is 50x50 pixels' in said and '1 fault.' in said
    assert len(say_json(capsys, 'data', 'check', tmp_path, status=1)[0]['faults']) == 1


def test_an_archive_is_unpacked_and_the_next_command_is_named(tmp_path, capsys):
    make_mvtec_ad(tmp_path/'in')
    archive = shutil.make_archive(tmp_path/'nut', 'gztar', tmp_path/'in')
    assert f"mudenet data check {tmp_path/'out'}" in say(capsys, 'data', 'unpack', archive, tmp_path/'out')
    assert say_json(capsys, 'data', 'unpack', archive, tmp_path/'again') == dict(folder=str(tmp_path/'again'))
    assert 'Nothing is wrong.' in say(capsys, 'data', 'check', tmp_path/'out')


def test_a_finished_run_is_exported(smoke_run, tmp_path, capsys):
    file = tmp_path/'run.onnx'
    text = say(capsys, 'export', smoke_run[0].folder, file)
    assert 'holds retained, seed 42, generated cable, 64 px.' in text and file.exists()
    facts = say_json(capsys, 'export', smoke_run[0].folder, file, '--overwrite', '--fpr', '.1')
    assert (facts['experiment'], facts['image_size']) == ('retained', 64)


def test_pictures_are_scored(smoke_run, tmp_path, capsys):
    job, ds, result = smoke_run
    Image.fromarray(ds.test[0].permute(1, 2, 0).numpy()).save(tmp_path/'picture.png')
    command = ['predict', job.folder, tmp_path/'picture.png', tmp_path/'out']
    assert 'picture' in say(capsys, *command)
    assert say_json(capsys, *command, '--overwrite') and (tmp_path/'out').is_dir()


# What takes long or writes into the project is stood in for.

def stand_in(monkeypatch, **results):
    "Functions by 'module.name' that return these."
    for name, result in results.items():
        monkeypatch.setattr(f'mudenet.{name}', lambda *_, result=result: result)


def test_a_bench_says_where_it_is_written(monkeypatch, capsys):
    stand_in(monkeypatch, **{'bench.bench.write_bench': dict(rows=[1])})
    assert say(capsys, 'bench') == 'Written to experiments/bench.json.\n'
    assert say_json(capsys, 'bench') == dict(rows=[1])


def test_publishing_counts_records(monkeypatch, capsys):
    stand_in(monkeypatch, **{'study.publish.publish': ['a', 'b'], 'report.tables.write_results': None})
    assert say(capsys, 'publish') == '2 records.\n'
    assert say_json(capsys, 'publish') == dict(records=['a', 'b'])


def test_the_site_counts_its_files_and_pages(monkeypatch, tmp_path, capsys):
    (tmp_path/'index.html').write_bytes(b'x'*2000)
    stand_in(monkeypatch, **{'report.tables.write_log': {'log': 3}, 'report.site.render': tmp_path})
    assert say(capsys, 'site', '--only-log') == '3 files in log/\n'
    assert say_json(capsys, 'site', '--only-log') == {'log': 3}
    assert say(capsys, 'site') == '3 files in log/; 1 pages in _site/, the largest 2 kB.\n'
    assert say_json(capsys, 'site') == dict(pages=1)


# Refusals

@pytest.mark.parametrize('args, says', [
    (['show', 'exp99'], "Experiment 'exp99' does not exist"),
    (['run', 'retaind'], "did you mean 'retained'?"),
    (['run', 'retained', *SMOKE, '--set', 'train.epoch=3'], "did you mean 'train.epochs'?"),
    (['run', 'retained', *SMOKE, '--set', '=5'], "overrides names no field for the value '5'; write FIELD=VALUE"),
    (['run', 'retained', *SMOKE, '--data-root', '/nowhere'], '/nowhere does not exist'),
    (['run', 'retained', *SMOKE, '--runs-dir', '/proc/none'], 'give another runs_dir'),
    (['several'], 'No run is named; name each as ID:SEED'),
    (['several', 'retained:x', *SMOKE], "takes a whole number, not 'x'"),
    (['several', 'retained', '--at-once', '0', *SMOKE], 'at_once is 0; it must be 1 or more'),
    (['several', 'retained', '--minutes', 'nan', *SMOKE], 'minutes is nan; it must be 0 or more'),
    (['plan', '--experiments', 'exp99'], "Experiment 'exp99' does not exist"),
    (['plan', '--seeds', '42,x'], "takes a whole number, not 'x'"),
    (['memory-bank', *SMOKE, '--category', 'bottle'], 'there is: cable'),
    (['data', 'check', '/nowhere'], '/nowhere does not exist'),
    (['data', 'unpack', '/nowhere.tar', '/tmp/none'], '/nowhere.tar does not exist'),
    (['export', '/nowhere', '/tmp/none.onnx'], '/nowhere is not the folder of a finished run'),
    (['predict', '/nowhere', '/nowhere', '/tmp/none'], '/nowhere')])
def test_a_mistake_is_refused_in_one_sentence(args, says, capsys):
    for more in ([], ['--json']):
        assert main([*args, *more]) == 2
        out, err = capsys.readouterr()
        assert out == '' and says in err and err.count('\n') == 1


@pytest.mark.parametrize('args, says', [
    ([], 'Missing subcommand'), (['data'], 'Missing subcommand'), (['runn'], 'runn'),
    (['run', 'retained', '--sede', '3'], '--sede'),
    (['run', 'retained', '--budget', 'cpuu'], 'cpuu'), (['run', 'retained', '--seed', '4.2'], '--seed'),
    (['show'], 'EXPERIMENT'), (['export', 'run'], 'Required options'), (['table', '--overwrite'], '--overwrite')])
def test_words_that_are_no_command_end_with_2(args, says, capsys):
    with pytest.raises(SystemExit) as end: main(args)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == '' and says in err


# Help

NAMES = [*([name] for name in COMMANDS if name != 'data'), *(['data', name] for name in ('list', 'check', 'unpack'))]
HELP = f"""
import sys
from mudenet.__main__ import COMMANDS, main
def work(self): raise AssertionError('work has begun')
for command in COMMANDS.values(): command.__call__ = work
for name in {NAMES}:
    try: main([*name, '--help'])
    except SystemExit as end: assert end.code == 0, name
"""


def imported(code):
    "Which of the heavy packages a process has imported in the end, and what it printed."
    code += f'\nprint([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr.strip().splitlines()[-1], done.stdout


def test_help_of_every_command_starts_no_work_and_imports_nothing_heavy():
    heavy, said = imported(HELP)
    assert heavy == '[]'
    for name in NAMES: assert f"usage: mudenet {' '.join(name)}" in said


@pytest.mark.parametrize('args', [['--help'], ['list'], ['list', '--json'], ['data', 'list'], ['--version'], []])
def test_what_needs_no_torch_imports_nothing_heavy(args):
    code = f"""
import sys
from mudenet.__main__ import main
try: main({args})
except SystemExit: pass"""
    assert imported(code)[0] == '[]'


def test_the_help_names_every_command_and_each_option_says_what_it_does(capsys):
    with pytest.raises(SystemExit): main(['--help'])
    said = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in said] == []
    with pytest.raises(SystemExit): main(['run', '--help'])
    said = ' '.join(capsys.readouterr().out.replace('│', ' ').split())
    assert 'a config field for a quick trial, such as train.epochs=5' in said
    assert 'where runs are kept; a relative path is taken from the project\'s folder' in said
    with pytest.raises(SystemExit): main(['predict', '--help'])
    assert 'mudenet predict [-h] RUN PICTURES FOLDER' in capsys.readouterr().out


def test_the_version_is_that_of_the_distribution(capsys):
    assert say(capsys, '--version') == f"mudenet {version('mudenet')}\n"


@pytest.fixture
def installed(tmp_path):
    "A function that types commands where the package is all there is, as `pip install` of a wheel leaves it."
    shutil.copytree(ROOT/'mudenet', tmp_path/'lib'/'mudenet')
    (tmp_path/'runs'/'retained'/'x'/'seed42').mkdir(parents=True)
    (tmp_path/'runs'/'retained'/'x'/'seed42'/'record.json').write_text('{}')
    code = f"""
import json, sys
import mudenet
assert mudenet.__file__.startswith({str(tmp_path)!r})
from mudenet.__main__ import main
for command in json.loads(sys.argv[1]): print(command[0], main(command), file=sys.stderr)"""
    def type_all(commands):
        done = subprocess.run([sys.executable, '-c', code, json.dumps(commands)], cwd=tmp_path, capture_output=True,
                              text=True, env=os.environ | dict(PYTHONPATH=str(tmp_path/'lib')))
        return done.stderr.splitlines()
    return type_all


def test_what_needs_the_checkout_says_so_before_it_writes_anything(installed, tmp_path):
    commands = [['list'], ['show', 'exp1'], ['table'], ['audit'], ['plan'], ['run', 'retained'],
                ['several', 'retained'], ['memory-bank'], ['bench'], ['gpu-check', '--write'], ['publish'], ['site']]
    said = installed(commands)
    for command, sentence, status in zip(commands, said[::2], said[1::2]):
        assert 'holds no experiments; they come with the project' in sentence, command
        assert status == f'{command[0]} 2'
    assert len(said) == 2*len(commands)
    assert {p.name for p in tmp_path.iterdir()} == {'lib', 'runs'}


def test_what_needs_no_checkout_works_without_it(installed, tmp_path):
    make_mvtec_ad(tmp_path/'mvtec_ad')
    commands = [['--version'], ['data', 'list'], ['data', 'check', 'mvtec_ad']]
    assert installed(commands) == ['--version 0', 'data 0', 'data 0']


def test_the_site_reads_its_arguments_before_it_touches_anything(monkeypatch, capsys):
    def touched(*_): raise AssertionError('its output would be gone')
    for name in ('report.tables.write_log', 'report.site.render'): monkeypatch.setattr(f'mudenet.{name}', touched)
    for args in (['--help'], ['--only-logs'], ['somewhere']):
        with pytest.raises(SystemExit): main(['site', *args])


# A terminal

def test_the_program_and_the_module_are_one_command():
    program = shutil.which('mudenet', path=os.path.dirname(sys.executable))
    for command in ([program], [sys.executable, '-m', 'mudenet']):
        done = subprocess.run([*command, 'show', 'exp99'], capture_output=True, text=True)
        assert done.returncode == 2 and 'exp99' in done.stderr and done.stderr.count('\n') == 1


@pytest.mark.parametrize('args', [['list'], ['run', '--help'], ['--version']])
def test_a_reader_who_has_seen_enough_is_no_error(args):
    command = [sys.executable, '-m', 'mudenet', *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b'' and process.wait(60) == 0
