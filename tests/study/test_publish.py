"Finished runs become published records, once."
import numpy as np, pytest, torch
from PIL import Image
from safetensors.torch import load_file
from mudenet.core.errors import UserError
from mudenet.core.files import read_json, write_json
from mudenet.study.execute import branch_maps, draw_types, first_of_types, MOST_BYTES, TYPES
from mudenet.study.publish import publish
from mudenet.study.records import Record


def make_run(runs, experiment='retained', dataset='generated', folder=None):
    "A finished run's record and picture, as a run leaves them."
    facts = dict(name=dataset, benchmark=dataset, category='cable', fingerprint='f', train=1, held_out=1, test=1)
    environment = dict(device='cpu', device_name='a machine', threads=1, revision='abc')
    metrics = dict(image_auroc=.512, pixel_auroc=.6, aupro=.7, per_type={}, by_branch={})
    config = dict(distill=dict(backbone='efficientnet_lite0'))
    record = Record(experiment, 42, 'smoke', config, 'hash', environment, facts, metrics,
                    [dict(path='a', type='good', score=1.)], dict(teacher=120.), {})
    path = runs/(folder or experiment)/record.folder/'seed42'
    record.write(path/'record.json')
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path/TYPES)
    return record


@pytest.fixture
def published(tmp_path):
    "One run and its published record."
    make_run(tmp_path/'runs')
    path, = publish(tmp_path/'runs', tmp_path/'results')
    return path


def test_a_run_is_published_once(tmp_path, published, capsys):
    where = 'generated-cable-efficientnet_lite0-smoke/retained-seed42.json'
    assert published.relative_to(tmp_path/'results').as_posix() == where
    assert published.with_suffix('.webp').exists() and Record.read(published) == make_run(tmp_path/'runs')
    assert publish(tmp_path/'runs', tmp_path/'results') == [] and capsys.readouterr().out == ''


def test_a_run_that_measures_more_replaces_the_record_quietly(tmp_path, published, capsys):
    less = read_json(published)
    del less['metrics']['by_branch']
    write_json(published, less)
    assert publish(tmp_path/'runs', tmp_path/'results') == [published] and capsys.readouterr().out == ''
    assert 'by_branch' in Record.read(published).metrics and published.with_suffix('.webp').exists()


def test_a_record_that_measures_more_than_the_run_is_replaced_and_named(tmp_path, published, capsys):
    more = read_json(published)
    write_json(published, more | dict(metrics=more['metrics'] | dict(spro=.5)))
    assert publish(tmp_path/'runs', tmp_path/'results') == [published]
    assert 'other figures than those published (revision abc)' in capsys.readouterr().out


def test_other_figures_replace_the_record_and_its_picture(tmp_path, published, capsys):
    write_json(published, read_json(published) | dict(config_hash='older'))
    published.with_suffix('.webp').write_bytes(b'of the older record')
    next((tmp_path/'runs').rglob(TYPES)).unlink()
    assert publish(tmp_path/'runs', tmp_path/'results') == [published]
    assert not published.with_suffix('.webp').exists()
    assert 'other figures than those published' in capsys.readouterr().out


def test_a_run_shows_the_first_image_of_each_type_in_few_bytes(smoke_run):
    job, ds, result = smoke_run
    chosen = first_of_types(ds)
    assert [ds.types[i] for i in chosen] == ['good', *sorted(set(ds.types) - {'good'})]
    assert all(ds.paths[i].endswith('/000.png') for i in chosen)
    with Image.open(job.folder/TYPES) as sheet: assert sheet.size == (160*len(chosen), 4*160)
    assert (job.folder/TYPES).stat().st_size <= MOST_BYTES
    noise = torch.rand(len(chosen), 64, 64)
    assert len(draw_types(ds, chosen, [noise]*4)) <= MOST_BYTES


def test_what_the_branches_add_is_the_fused_map(smoke_run):
    job, ds, result = smoke_run
    distances, range_ = (load_file(job.folder/f'{n}.safetensors')[n] for n in ('distances', 'range'))
    parts = branch_maps(distances, range_, job.config.score, ds.test.shape[-1])
    assert len(parts) == distances.shape[1]
    torch.testing.assert_close(sum(parts), result.maps, rtol=1e-4, atol=1e-4)


def test_pictures_of_a_benchmark_are_not_passed_on(tmp_path):
    make_run(tmp_path/'runs', dataset='mvtec_ad')
    path, = publish(tmp_path/'runs', tmp_path/'results')
    assert not path.with_suffix('.webp').exists()


def test_a_folder_of_runs_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match='missing does not exist'): publish(tmp_path/'missing', tmp_path/'results')


def test_a_quick_trial_is_not_published(tmp_path):
    make_run(tmp_path/'runs', folder='retained+train.epochs=3')
    assert publish(tmp_path/'runs', tmp_path/'results') == []
