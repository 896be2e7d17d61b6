"A finished run is shown, and one of other pixels, of another config or with a damaged record never stands for it."
from dataclasses import replace
import pytest
from conftest import comparable, smoke_job
from mudenet.core.config import apply_delta
from mudenet.study.execute import KEPT, TYPES, execute, execute_bank, measure_bank
from mudenet.study.records import COMPARATOR, Record


@pytest.fixture(scope='module')
def run(tmp_path_factory, smoke_run):
    "A run that may be damaged: its job, images and record."
    job = smoke_job(tmp_path_factory.mktemp('runs'))
    return job, smoke_run[1], execute(job, smoke_run[1]).record


def aside(job): return sorted(p.name for p in job.folder.glob('*.aside*'))


def test_a_finished_run_is_shown_from_a_folder_that_holds_nothing_else(smoke_run, capsys):
    job, ds, result = smoke_run
    assert execute(job, ds).record == result.record
    shown = 'retained/generated-cable-efficientnet_lite0-smoke/seed42/record.json'
    assert f'This run is finished; showing {shown}. Set overwrite to do it again' in capsys.readouterr().out
    files = {p.name for p in job.folder.glob('[!.]*')}
    assert files == {'record.json', TYPES, *(f'{n}.safetensors' for n in KEPT)}
    assert (execute(job, ds).maps == result.maps).all()


def test_a_run_is_not_shown_for_another_config_or_other_pixels(run, capsys):
    job, ds, record = run
    other = execute(replace(job, config=apply_delta(job.config, {'score.sigma': 2})), ds).record     # in the same place
    assert aside(job) == ['record.json.aside1'] and other.config_hash != record.config_hash
    assert execute(job, replace(ds, test=ds.test.flip(3), recipe='')).record.config_hash == job.config.hash()
    assert aside(job) == ['record.json.aside1', 'record.json.aside2']
    assert comparable(execute(job, ds).record) == comparable(record)
    assert capsys.readouterr().out.count('is set aside') == 3


def test_a_run_of_images_that_are_painted_otherwise_today_is_made_again(run, capsys):
    job, ds, record = run
    before = len(aside(job))
    old = replace(ds, recipe=ds.recipe.replace('cable-', 'cable-of-old-'))
    dataset = record.dataset | dict(fingerprint=old.fingerprint())
    Record(**record.to_dict() | dict(dataset=dataset)).write(job.record_path)
    assert job.record is None and 'its data is another one' in job.finished()[1]
    assert comparable(execute(job, ds).record) == comparable(record)
    assert len(aside(job)) == before + 1 and job.record is not None
    assert capsys.readouterr().out.count('its data is another one') == 1


@pytest.mark.parametrize('content', ['{', '[]', '{"seed": 42}'])
def test_a_damaged_record_is_set_aside_and_made_again(content, run, capsys):
    job, ds, record = run
    job.record_path.write_text(content)
    assert comparable(execute(job, ds).record) == comparable(record)
    assert capsys.readouterr().out.count('is set aside') == 1


def test_damaged_maps_of_a_finished_run_are_set_aside_and_missing_ones_are_made(run, capsys):
    job, ds, record = run
    path = job.folder/'maps.safetensors'
    for damage in (path.unlink, lambda: (path.unlink(), path.write_bytes(b'half'))):
        damage()
        assert comparable(execute(job, ds).record) == comparable(record)
    assert capsys.readouterr().out.count('is set aside as maps.safetensors.aside1') == 1


def test_a_memory_bank_has_a_record_like_a_runs(smoke_run):
    job, ds, result = smoke_run
    record = measure_bank(job, ds).record
    assert (record.experiment, record.dataset, len(record.images)) == (COMPARATOR, result.record.dataset, 14)
    assert record.setting == result.record.setting and record.folder == result.record.folder
    assert record.config_hash != result.record.config_hash and record.model_bytes > 0
    assert {'image_auroc', 'pixel_auroc', 'aupro'} <= set(record.metrics)


def test_a_finished_memory_bank_is_shown_and_a_damaged_record_made_again(run, capsys):
    job, _, _ = run
    first = execute_bank(job)
    path = job.runs_dir/first.experiment/first.folder/'seed42'/'record.json'
    assert execute_bank(job) == first
    path.write_text('{')
    again = execute_bank(job)
    assert comparable(again) == comparable(first) and path.with_name('record.json.aside1').exists()
