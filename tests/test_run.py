"The main job from the outside: typed in a terminal, repeated, continued, and refused."
import json, os, shutil, subprocess, sys
import pytest, torch
from safetensors.torch import load_file
from conftest import last_error, papermill
from layouts import make_folder, make_good_only, make_mvtec_ad, make_mvtec_loco, make_visa
from mudenet.config import UserError
from mudenet.records import read_json
from mudenet.study import execute, load_images, plan_run

SMOKE = 'retained/generated-cable-efficientnet_lite0-smoke/seed42'


def comparable(record):
    "A record without what differs between two runs of the same thing."
    return {k: v for k, v in record.items() if k not in ('durations', 'peak_memory', 'environment', 'reused')}


@pytest.fixture(scope='module')
def smoke(tmp_path_factory):
    "A smoke run by papermill, printed to standard output; its runs_dir and process."
    runs = tmp_path_factory.mktemp('runs')
    return runs, papermill('-p', 'seed', '42', '-p', 'budget', 'smoke', '-p', 'runs_dir', str(runs))


def test_without_an_output_path_the_notebook_is_printed_and_the_record_written(smoke):
    runs, process = smoke
    assert process.returncode == 0, process.stderr
    notebook = json.loads(process.stdout)
    assert any('image/png' in o.get('data', {}) for c in notebook['cells'] for o in c.get('outputs', []))
    record = read_json(runs/SMOKE/'record.json')
    assert {'image_auroc', 'pixel_auroc', 'aupro', 'aupro_300', 'aupro_1000', 'per_type', 'by_branch'} <= set(record['metrics']) and list(record['metrics']['absent']) == ['aupimo']   # too few nominal pixels
    assert {'config', 'config_hash', 'dataset', 'seed', 'environment', 'losses', 'durations', 'peak_memory', 'images', 'metrics'} <= set(record)


def test_no_bars_in_the_notebook(smoke):
    texts = [''.join(o['text']) for c in json.loads(smoke[1].stdout)['cells'] for o in c.get('outputs', []) if 'text' in o]
    assert texts and not [t for t in texts if 'it/s' in t or 's/it' in t or '\r' in t]


def test_python_gives_the_bits_of_papermill(smoke, tmp_path):
    run = plan_run(budget='smoke', runs_dir=tmp_path)
    result = execute(run, load_images(run))
    assert comparable(read_json(smoke[0]/SMOKE/'record.json')) == comparable(result.record)
    for name in ('teacher', 's1', 'autoencoder', 's2', 'scores'):
        one, two = (load_file(folder/f'{name}.safetensors') for folder in (smoke[0]/SMOKE, run.folder))
        assert all((one[k] == two[k]).all() for k in one)


def test_a_finished_run_is_shown_and_overwrite_repeats_it(smoke, tmp_path):
    path = smoke[0]/SMOKE/'record.json'
    before = path.stat().st_mtime_ns
    again = papermill(str(tmp_path/'out.ipynb'), '-p', 'budget', 'smoke', '-p', 'runs_dir', str(smoke[0]))
    assert again.returncode == 0 and path.stat().st_mtime_ns == before
    assert 'This run is finished' in (tmp_path/'out.ipynb').read_text()
    record = read_json(path)
    assert papermill(str(tmp_path/'out.ipynb'), '-p', 'budget', 'smoke', '-p', 'runs_dir', str(smoke[0]), '-p', 'overwrite', 'True').returncode == 0
    assert path.stat().st_mtime_ns != before and comparable(read_json(path)) == comparable(record)


VARIANTS = [('channels_last', True, 1e-4), ('mixed_precision', True, 5e-2), ('compile', 'default', 1e-4), ('compile', 'cuda-graphs', 1e-4)]


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
@pytest.mark.parametrize('field, value, tolerance', VARIANTS, ids=[f'{f}={v}' for f, v, _ in VARIANTS])
def test_how_it_is_computed_leaves_the_losses_as_they_were(device, field, value, tolerance, smoke, tmp_path):
    if device == 'cuda' and not torch.cuda.is_available(): pytest.skip('no CUDA device')
    if device == 'cpu' and value == 'cuda-graphs': pytest.skip('CUDA graphs are of CUDA')
    if value == 'default' and device == 'cpu' and not shutil.which('g++'): pytest.skip('torch.compile needs g++ on the CPU')
    run = plan_run(budget='smoke', device=device, runs_dir=tmp_path, overrides={f'compute.{field}': value})
    losses, plain = execute(run, load_images(run)).record['losses'], read_json(smoke[0]/SMOKE/'record.json')['losses']
    assert field != 'mixed_precision' or losses != plain
    for stage in plain:
        assert losses[stage] == [pytest.approx(epoch, rel=tolerance) for epoch in plain[stage]]


def test_overrides_are_kept_apart(smoke):
    run = plan_run(budget='smoke', runs_dir=smoke[0], overrides={'train.epochs': 2})
    assert run.folder != smoke[0]/SMOKE and run.folder.parts[-3].startswith('retained+')


def test_two_at_once_do_the_work_once(tmp_path):
    code = f"from mudenet.study import *\nr = plan_run(budget='smoke', runs_dir={str(tmp_path)!r})\nexecute(r, load_images(r))"
    both = [subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    out = [p.communicate(timeout=300)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0]
    assert sum('This run is finished' in o for o in out) == 1


@pytest.mark.parametrize('layout, category, figures, absent', [
    (make_mvtec_ad, 'nut', {'image_auroc', 'pixel_auroc', 'aupro'}, set()), (make_visa, 'pcb1', {'image_auroc', 'pixel_auroc', 'aupro'}, set()),
    (make_mvtec_loco, 'juice_bottle', {'image_auroc', 'pixel_auroc', 'aupro', 'spro'}, set()), (make_folder, 'nuts', {'image_auroc'}, {'pixel_auroc', 'aupro'}),
    (make_good_only, 'nuts', set(), {'image_auroc', 'pixel_auroc', 'aupro'})])
def test_every_layout_through_the_notebook(layout, category, figures, absent, tmp_path):
    layout(tmp_path/'data')
    process = papermill(str(tmp_path/'out.ipynb'), '-p', 'budget', 'smoke', '-p', 'data_root', str(tmp_path/'data'), '-p', 'runs_dir', str(tmp_path/'runs'))
    assert process.returncode == 0, process.stderr
    record = read_json(tmp_path/f'runs/retained/data-{category}-efficientnet_lite0-smoke/seed42/record.json')
    assert figures <= set(record['metrics']) and set(record['metrics']['absent']) - {'aupimo'} == absent and not absent & set(record['metrics'])
    if layout is make_mvtec_loco: assert set(record['metrics']['spro_per_type']) == {'logical_anomalies', 'structural_anomalies'} and record['dataset']['held_out'] == 2


@pytest.mark.parametrize('parameter, value, says', [
    ('sede', '42', "Parameter 'sede' does not exist; did you mean 'seed'?"), ('seed', '4.2', 'takes a whole number'), ('seed', 'true', 'takes a whole number'),
    ('overwrite', 'perhaps', 'true or false'), ('overrides', '{"train.epoch": 3}', "'train.epochs'"), ('data_root', '/nowhere', '/nowhere does not exist')])
def test_papermill_is_refused_in_one_sentence(parameter, value, says, tmp_path):
    args = {'budget': 'smoke', 'runs_dir': str(tmp_path)} | {parameter: value}
    process = papermill(os.devnull, *[a for k, v in args.items() for a in ('-p', k, v)])
    assert process.returncode == 1
    assert 'UserError' in last_error(process) and says in last_error(process)


@pytest.mark.parametrize('parameter, value, says', [      # as papermill hands them over
    ('seed', '', 'takes a whole number'), ('experiment', 'retaind', "did you mean 'retained'?"), ('budget', 'cpuu', "did you mean 'cpu'?"), ('overrides', 5, 'must be a dict'),
    ('dataset', 'vissa', "did you mean 'visa'?"), ('overrides', '{"data.image_size": 100}', 'multiple of 32'), ('runs_dir', '/proc/none', 'give another runs_dir'), ('category', 5, 'there is: cable')])
def test_a_parameter_is_refused_before_any_work(parameter, value, says, tmp_path):
    with pytest.raises(UserError, match=says): plan_run(**{'budget': 'smoke', 'runs_dir': str(tmp_path)} | {parameter: value})


def test_text_is_taken_as_what_it_plainly_means(smoke, tmp_path):
    process = papermill(str(tmp_path/'out.ipynb'), '-r', 'seed', '042', '-p', 'budget', 'smoke', '-r', 'runs_dir', str(smoke[0]), '-r', 'overwrite', 'False', '-p', 'overrides', "{'train.lr': 1e-3, 'train.detach': true}")
    assert process.returncode == 0, process.stderr
    record = read_json(next(smoke[0].glob('retained+*/*/seed42/record.json')))
    assert comparable(record) == comparable(read_json(smoke[0]/SMOKE/'record.json'))          # those are the defaults


def test_an_experiment_takes_what_its_parent_did_and_gives_the_bits_of_a_fresh_run(smoke, tmp_path):
    for experiment, reused in (('loss-weights', {'teacher', 's1', 'autoencoder'}), ('baseline', set()), ('exp1', {'teacher', 's1', 'autoencoder', 's2', 'scores', 'limits'}), ('exp2', {'teacher', 's1'})):
        one = plan_run(experiment, budget='smoke', runs_dir=smoke[0])
        again = plan_run(experiment, budget='smoke', runs_dir=tmp_path/experiment)
        with_reuse, alone = (execute(r, load_images(r)).record for r in (one, again))
        assert set(with_reuse['reused']) == reused and not alone['reused']
        assert comparable(with_reuse) == comparable(alone)
