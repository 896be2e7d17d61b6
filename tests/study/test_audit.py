"What does not add up is found, in the published log, in records and on pages; and nothing else."
import copy, shutil
import pytest
from conftest import ROOT
from mudenet.core.files import read_json, write_json
from mudenet.metrics.curves import curve, curve_area
from mudenet.metrics.pro import aupro, region_weights
from mudenet.metrics.ranks import rank_counts
from mudenet.metrics.roc import pixel_auroc
from mudenet.metrics.rounded import agrees, recompute, unrounded
from mudenet.study.audit import audit_log, audit_pages, audit_record, audit_records, load_reported
from mudenet.study.execute import measure_bank
from mudenet.study.experiments import load_experiments, METRICS
from mudenet.study.records import not_recomputed, Record

REPORTED = load_reported()


def table_of(id, reported=REPORTED): return next(t for t in reported['tables'] if t['experiment'] == id)


@pytest.mark.parametrize('stated, possible, unit, fits', [
    (93.2, unrounded(93.1667), .1, True), (93.4, unrounded(93.1667), .1, False),     # 94.5, 92.8, 92.2
    (27, (100*2.15/8.55, 100*2.25/8.45), 1, True), (28, (100*2.15/8.55, 100*2.25/8.45), 1, False)])     # 25.1 to 26.6
def test_a_rounded_figure_stands_for_an_interval(stated, possible, unit, fits):
    assert agrees(stated, possible, unit) == fits


def test_the_published_log_has_two_computed_findings_and_its_notes():
    base, restated, *notes = audit_log(REPORTED)
    assert base.startswith('e5.5: ') and 'exp4' in base
    assert '+1.0 (94.2 - 93.2), +0.5 (97.4 - 96.9), +3.0 (86.7 - 83.7)' in base
    assert restated.startswith('e5.1: ') and 'base column of e5.5' in restated
    assert len(notes) == len(REPORTED['notes']) and 'before the seed is set' in notes[0]


def test_a_planted_mean_is_found():
    planted = copy.deepcopy(REPORTED)
    table_of('screening-baseline', planted)['stated']['mean']['aupro'] = 84.7
    wrong = [r for r in recompute(table_of('screening-baseline', planted), planted) if not r.agrees]
    assert [(r.metric, r.kind, r.stated) for r in wrong] == [('aupro', 'mean', 84.7)]
    assert any('screening-baseline, PRO: the stated mean is 84.7' in f for f in audit_log(planted))


def test_a_mended_base_is_not_found():
    mended = copy.deepcopy(REPORTED)
    own = table_of('screening-baseline', mended)['figures']
    table_of('e5.5', mended)['base'], mended['restated'] = {m: own[m] for m in METRICS}, []
    assert not any('base figures' in f for f in audit_log(mended))


def test_every_recomputed_figure_is_one_that_the_log_states():
    stated = [v for t in REPORTED['tables'] for k in t['stated'].values() for m, v in k.items() if m in METRICS]
    assert sorted(r.stated for t in REPORTED['tables'] for r in recompute(t, REPORTED)) == sorted(stated)


# Records

def test_real_records_add_up(tmp_path, smoke_run):
    job, ds, result = smoke_run
    for record in (result.record, measure_bank(job, ds).record):
        record = Record(**record.to_dict())
        record.write(tmp_path/record.place)
        assert audit_record(record, tmp_path/record.place, load_experiments()) == []
    assert audit_records(tmp_path) == []


def test_the_curves_of_a_real_run_give_its_figures(smoke_run):
    _, ds, result = smoke_run
    masks, maps = ds.masks.numpy(), result.maps.numpy()
    curves = result.record.curves
    assert max(len(curves[k][0]) for k in ('image_roc', 'pixel_roc', 'pro', 'pro_log')) <= 200
    assert abs(curve_area(curves['pixel_roc']) - pixel_auroc(masks, maps)) < 1e-4
    assert abs(curve_area(curves['pro']) - aupro(masks, maps)) < 1e-4
    fewer = curve(rank_counts(masks, maps), region_weights(masks), .3, points=20)
    assert len(fewer[0]) == 20 and abs(curve_area(fewer) - aupro(masks, maps)) < 5e-3


def test_a_file_that_is_no_record_is_named_beside_others(tmp_path, smoke_run):
    record = Record(**smoke_run[2].record.to_dict())
    path = tmp_path/record.place
    record.write(path)
    path.with_name('half.json').write_text('{"seed": 42}')
    write_json(path, read_json(path) | dict(environment={}))
    half, *others = audit_records(tmp_path)
    assert "half.json is not a run's record" in half and any(record.place in f for f in others)


def test_the_committed_records_add_up(): assert audit_records() == []


def test_what_is_taken_on_trust_is_listed():
    text = ' '.join(not_recomputed())
    assert all(word in text for word in ('Durations', 'processor or card', 'by branch'))


# Pages

def test_the_pages_state_what_was_reported_or_measured(): assert audit_pages() == []


def test_every_hand_written_page_is_read(tmp_path):
    folder = tmp_path/'experiments'
    shutil.copytree(ROOT/'experiments', folder, ignore=shutil.ignore_patterns('results', '_generated', 'site'))
    for name in ('README.md', 'index.qmd'): shutil.copy(ROOT/name, tmp_path)
    assert audit_pages(folder, tmp_path/'results') == []
    pages = ['README.md', 'index.qmd', 'experiments/methodology.qmd', 'experiments/e5.6.qmd']
    for name in pages:
        with open(tmp_path/name, 'a') as f: f.write('\n\nPRO fell by 61.7 points.\n')
    found = audit_pages(folder, tmp_path/'results')
    assert sorted(f.split(':')[0] for f in found) == sorted(p.split('/')[-1] for p in pages)
    assert all('61.7 is none of the figures that this page may state' in f for f in found)
