"The main job from the outside: typed in a terminal, repeated, continued, and refused."
import json, os, shutil, subprocess, sys
import pytest, torch
from conftest import comparable, last_error, papermill, smoke_job
from layouts import make_folder, make_good_only, make_mvtec_ad, make_mvtec_loco, make_visa
from mudenet.core.errors import UserError
from mudenet.model.mudenet import NETWORKS
from mudenet.study.execute import execute, load_images
from mudenet.study.records import Record
from mudenet.study.run import Run, check_parameters, plan_run, run_parameters
from safetensors.torch import load_file

SMOKE = 'retained/generated-cable-efficientnet_lite0-smoke/seed42'


def parameters(**values):
    "As papermill takes them."
    return [text for name, value in values.items() for text in ('-p', name, str(value))]


# The notebook in a terminal

@pytest.fixture(scope='module')
def notebook(tmp_path_factory):
    "A smoke run by papermill, printed to standard output; its runs_dir and process."
    runs = tmp_path_factory.mktemp('runs')
    return runs, papermill(*parameters(seed=42, budget='smoke', runs_dir=runs))


def outputs(process):
    "What the cells of a printed notebook show."
    return [o for cell in json.loads(process.stdout)['cells'] for o in cell.get('outputs', [])]


def test_without_an_output_path_the_notebook_is_printed_and_the_record_written(notebook):
    runs, process = notebook
    assert process.returncode == 0, process.stderr
    assert any('image/png' in o.get('data', {}) for o in outputs(process))
    record = Record.read(runs/SMOKE/'record.json')
    assert {'image_auroc', 'pixel_auroc', 'aupro', 'aupro_300', 'aupro_1000'} <= set(record.metrics)
    assert {'per_type', 'by_branch'} <= set(record.metrics)
    assert list(record.metrics['absent']) == ['aupimo']          # too few nominal pixels
    written = json.loads((runs/SMOKE/'record.json').read_text())
    assert {'config', 'config_hash', 'dataset', 'seed', 'environment', 'losses', 'durations', 'peak_memory', 'images',
            'metrics'} <= set(written)


def test_no_bars_in_the_notebook(notebook):
    texts = [''.join(o['text']) for o in outputs(notebook[1]) if 'text' in o]
    assert texts and not [t for t in texts if 'it/s' in t or 's/it' in t or '\r' in t]


def test_python_gives_the_bits_of_papermill(notebook, smoke_run):
    job, _, result = smoke_run
    assert comparable(Record.read(notebook[0]/SMOKE/'record.json')) == comparable(result.record)
    for name in (*NETWORKS, 'distances'):
        one, two = (load_file(folder/f'{name}.safetensors') for folder in (notebook[0]/SMOKE, job.folder))
        assert all((one[k] == two[k]).all() for k in one)


def test_a_finished_run_is_shown_and_overwrite_repeats_it(notebook, tmp_path):
    path = notebook[0]/SMOKE/'record.json'
    before, record = path.stat().st_mtime_ns, Record.read(path)
    again = papermill(tmp_path/'out.ipynb', *parameters(budget='smoke', runs_dir=notebook[0]))
    assert again.returncode == 0 and path.stat().st_mtime_ns == before
    assert 'This run is finished' in (tmp_path/'out.ipynb').read_text()
    repeated = papermill(tmp_path/'out.ipynb', *parameters(budget='smoke', runs_dir=notebook[0], overwrite=True))
    assert repeated.returncode == 0 and path.stat().st_mtime_ns != before
    assert comparable(Record.read(path)) == comparable(record)


def test_text_is_taken_as_what_it_plainly_means(notebook, tmp_path):
    overrides = "{'train.lr': 1e-3, 'train.detach': true}"
    raw = ('-r', 'seed', '042', '-r', 'runs_dir', notebook[0], '-r', 'overwrite', 'False')
    process = papermill(tmp_path/'out.ipynb', *raw, *parameters(budget='smoke', overrides=overrides))
    assert process.returncode == 0, process.stderr
    record = Record.read(next(notebook[0].glob('retained+*/*/seed42/record.json')))
    assert comparable(record) == comparable(Record.read(notebook[0]/SMOKE/'record.json'))     # those are the defaults


MEASURED = {'image_auroc', 'pixel_auroc', 'aupro'}
LAYOUTS = [
    (make_mvtec_ad, 'nut', MEASURED, set()), (make_visa, 'pcb1', MEASURED, set()),
    (make_mvtec_loco, 'juice_bottle', {*MEASURED, 'spro'}, set()),
    (make_folder, 'nuts', {'image_auroc'}, {'pixel_auroc', 'aupro'}), (make_good_only, 'nuts', set(), MEASURED)]


@pytest.mark.slow
@pytest.mark.parametrize('layout, category, figures, absent', LAYOUTS, ids=[layout.__name__ for layout, *_ in LAYOUTS])
def test_every_layout_through_the_notebook(layout, category, figures, absent, tmp_path):
    layout(tmp_path/'data')
    asked = parameters(budget='smoke', data_root=tmp_path/'data', runs_dir=tmp_path/'runs')
    process = papermill(tmp_path/'out.ipynb', *asked)
    assert process.returncode == 0, process.stderr
    record = Record.read(tmp_path/f'runs/retained/data-{category}-efficientnet_lite0-smoke/seed42/record.json')
    assert figures <= set(record.metrics) and set(record.metrics['absent']) - {'aupimo'} == absent
    assert not absent & set(record.metrics)
    if layout is not make_mvtec_loco: return
    assert set(record.metrics['spro_per_type']) == {'logical_anomalies', 'structural_anomalies'}
    assert record.dataset['held_out'] == 2


@pytest.mark.parametrize('parameter, value, says', [
    ('sede', '42', "Parameter 'sede' does not exist; did you mean 'seed'?"), ('seed', '4.2', 'takes a whole number'),
    ('seed', 'true', 'takes a whole number'), ('overwrite', 'perhaps', 'true or false'),
    ('overrides', '{"train.epoch": 3}', "'train.epochs'"), ('data_root', '/nowhere', '/nowhere does not exist')])
def test_papermill_is_refused_in_one_sentence(parameter, value, says, tmp_path):
    process = papermill(os.devnull, *parameters(**{'budget': 'smoke', 'runs_dir': tmp_path} | {parameter: value}))
    assert process.returncode == 1
    assert 'UserError' in last_error(process) and says in last_error(process)


# What is asked for, before any work

REFUSED = [      # as papermill and Python hand them over
    ('experiment', 'retaind', "did you mean 'retained'?"), ('experiment', 'retaned', "did you mean 'retained'?"),
    ('seed', '', 'takes a whole number'), ('seed', 4.2, 'seed'),
    ('budget', 'cpuu', "did you mean 'cpu'?"),
    ('data_root', '/nowhere', 'does not exist'),
    ('category', 'bottle', 'there is: cable'), ('category', 5, 'there is: cable'),
    ('dataset', 'vissa', "did you mean 'visa'?"), ('dataset', 'visa', 'data_root'),
    ('backbone', 'resnet', 'Backbone'),
    ('device', 'gpu', 'Device'),
    ('runs_dir', '/proc/none', 'give another runs_dir'), ('runs_dir', '/proc/runs', 'runs_dir'),
    ('overrides', 5, 'must be a dict'), ('overrides', '{1', 'must be a dict'), ('overrides', '[1]', 'must be a dict'),
    ('overrides', {'train.epoch': 1}, "'train.epochs'"), ('overrides', '{"data.image_size": 100}', 'multiple of 32'),
    ('overrides', {'network.channels': 200}, 'only 176 features')]


@pytest.mark.parametrize('parameter, value, says', REFUSED)
def test_a_parameter_is_refused_before_any_work(parameter, value, says, tmp_path):
    with pytest.raises(UserError, match=says):
        plan_run(Run(**{'budget': 'smoke', 'device': 'cpu', 'runs_dir': str(tmp_path)} | {parameter: value}))


def test_a_device_that_is_not_here_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(UserError, match='no CUDA device'): smoke_job(tmp_path, device='cuda')


def test_numbers_may_be_text_and_a_trial_has_a_folder_of_its_own(tmp_path):
    job = smoke_job(tmp_path, seed='007', overwrite='False',
                    overrides='{"train.epochs": 2, "train.lr": "1e-5", "train.detach": false}')
    train = job.config.train
    assert (job.seed, job.overwrite) == (7, False)
    assert (train.epochs, train.lr, train.detach) == (2, 1e-5, False)
    name, *folders = job.folder.relative_to(tmp_path).parts
    assert name == f'retained+{job.config.hash()}' and folders == ['generated-cable-efficientnet_lite0-smoke', 'seed7']


def test_what_an_override_leaves_open_is_the_row_of_the_category(tmp_path):
    trial = smoke_job(tmp_path, overrides={'augment.color_jitter': 'none', 'augment.rotation': 5})
    assert (trial.config.augment.color_jitter, trial.config.augment.rotation) == (.1, 5)


def test_overrides_are_kept_apart(tmp_path):
    plain, trial = smoke_job(tmp_path), smoke_job(tmp_path, overrides={'train.epochs': 2})
    assert plain.folder == tmp_path/SMOKE and trial.folder != plain.folder
    assert trial.folder.parts[-3].startswith('retained+')


@pytest.mark.parametrize('empty', [None, '', '{}', {}])
def test_no_overrides_are_no_trial(empty, tmp_path):
    assert smoke_job(tmp_path, overrides=empty).folder == tmp_path/SMOKE


def test_a_parameter_that_the_notebook_does_not_have_is_refused():
    with pytest.raises(UserError, match="did you mean 'seed'?"):
        check_parameters(['', '# Parameters\nsede = 42\n'], run_parameters())
    check_parameters(['sede = 1', '# Parameters\nseed = 42\n'], ['seed'])           # the first is no parameter


# The bits

SLOW = {'distill.lr': 1e-4, 'train.lr': 1e-4}      # rounding grows with the length of Adam's steps
VARIANTS = {        # precision, overrides, and how far losses may move
    'NCHW': ('fp32', {'compute.channels_last': False}, 1e-4),
    'compiled': ('fp32', {'compute.compile': 'default'}, 1e-4),
    'cuda-graphs': ('fp32', {'compute.compile': 'cuda-graphs'}, 1e-4),
    'tf32': ('tf32', {}, 5e-2), 'bf16': ('bf16', {}, 5e-2)}


@pytest.fixture(scope='module')
def plain_losses(tmp_path_factory):
    "The losses of a run on the CPU, with smaller steps than the default."
    job = smoke_job(tmp_path_factory.mktemp('plain'), device='cpu', overrides=SLOW)
    return execute(job, load_images(job)).record.losses


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
@pytest.mark.parametrize('name', VARIANTS)
def test_how_it_is_computed_leaves_the_losses_as_they_were(device, name, plain_losses, tmp_path):
    if device == 'cuda' and not torch.cuda.is_available(): pytest.skip('no CUDA device')
    if device == 'cpu' and name in ('tf32', 'cuda-graphs'): pytest.skip('of CUDA alone')
    if (device, name) == ('cpu', 'compiled') and not shutil.which('g++'):
        pytest.skip('torch.compile needs g++ on the CPU')
    precision, overrides, tolerance = VARIANTS[name]
    job = smoke_job(tmp_path, device=device, precision=precision, overrides=SLOW | overrides)
    losses = execute(job, load_images(job)).record.losses
    assert name != 'bf16' or losses != plain_losses
    for stage, epochs in plain_losses.items():
        assert losses[stage] == [pytest.approx(epoch, rel=tolerance) for epoch in epochs]


@pytest.mark.parametrize('asked', [
    dict(overrides={'compute.compile': 'cuda-graphs'}), dict(precision='tf32'),
    dict(overrides={'compute.precision': 'tf32'})])
def test_what_cuda_alone_can_do_is_refused_on_the_cpu(asked, tmp_path):
    with pytest.raises(UserError, match='needs CUDA'): smoke_job(tmp_path, device='cpu', **asked)


RUN = """
import sys
from mudenet.study.execute import execute, load_images
from mudenet.study.run import Run, plan_run
job = plan_run(Run(budget='smoke', runs_dir=sys.argv[1]))
execute(job, load_images(job))"""


def test_two_at_once_do_the_work_once(tmp_path):
    command = [sys.executable, '-c', RUN, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    out = [p.communicate(timeout=300)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0]
    assert sum('This run is finished' in o for o in out) == 1
