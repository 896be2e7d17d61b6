"Errors are planted one at a time, the digest is computed anew in all but two, and the audit finds each."
import copy, hashlib
from dataclasses import replace
from pathlib import Path
import numpy as np, pytest, torch
from mudenet.core.config import apply_delta, canonical_hash, Score
from mudenet.core.machine import environment
from mudenet.data.dataset import Dataset
from mudenet.metrics.curves import record_curves
from mudenet.metrics.resampling import record_draws
from mudenet.model.score import image_scores, smooth
from mudenet.study.audit import audit_log, audit_page, audit_record, audit_together, load_reported, Sources
from mudenet.study.evaluate import by_branch, evaluate
from mudenet.study.execute import bank_config
from mudenet.study.experiments import config_of, load_experiments
from mudenet.study.records import COMPARATOR, declared_rule, Record
from mudenet.study.run import generated_fingerprint
from mudenet.study.stages import stage_keys

LOG, SIZE = load_experiments(), 128      # pixels of the cpu budget
KINDS = ['good']*8 + ['bent_wire']*3 + ['cable_swap']*3
PATHS = [f'test/{kind}/{i:03}.png' for i, kind in enumerate(KINDS)]


def made_maps(seed):
    "A dataset with masks, and maps that find most of its defects."
    g = torch.Generator().manual_seed(seed)
    masks = torch.zeros(len(KINDS), SIZE, SIZE, dtype=torch.bool)
    for i, kind in enumerate(KINDS):
        if kind != 'good': masks[i, 8*i:8*i+9, 20:40] = True
    maps = smooth(torch.rand(masks.shape, generator=g) + .2*masks*torch.rand(len(KINDS), 1, 1, generator=g))
    images = torch.zeros(len(KINDS), 3, SIZE, SIZE, dtype=torch.uint8)
    return Dataset('generated', 'cable', images[:1], images, masks, KINDS, PATHS, []), maps


def falling(terms, epochs, seed):
    "Losses that fall, with the seed's own digits."
    factor = 1 + np.random.default_rng(seed).uniform()/10
    return [dict(zip(terms, factor*np.arange(2., 2 + len(terms))/(1 + .3*epoch))) for epoch in range(epochs)]


def made_record(experiment, seed, name='generated', category='cable', row='HC'):
    "A record at the cpu budget that adds up, with neither networks nor training."
    bank = experiment == COMPARATOR
    config = config_of('retained' if bank else experiment, 'cpu', LOG, row)
    ds, maps = made_maps(seed + 1000*len(row))
    images = [dict(path=p, type=t, score=s) for p, t, s in zip(PATHS, KINDS, image_scores(maps).tolist())]
    seen, generated = config.data.calibration == 'seen' and not bank, name == 'generated'
    fingerprint = generated_fingerprint(name, SIZE, 40, images) if generated else 'a-benchmark'
    dataset = dict(name=name, benchmark='generated' if generated else 'mvtec_ad', category=category,
                   fingerprint=fingerprint, train=40 if seen else 36, held_out=4, test=len(KINDS))
    metrics = evaluate(ds, maps)
    values = canonical_hash(bank_config(config)), bank_config(config)
    if not bank:
        values = config.hash(), config.to_dict()
        metrics['by_branch'] = by_branch(ds, maps[:, None, None, ::2, ::2].repeat(1, 2, 3, 1, 1), Score(sigma=0))
    parts = ['loss_student1', 'loss_autoencoder', 'loss_student2']
    own = [seed, len(experiment), len(row)]
    losses = dict(distill=falling(['distill'], 10, [*own, 0]), train=falling(parts, 16, [*own, 1]))
    data = f'{fingerprint} {dataset["train"]}'
    record = Record(
        experiment, seed, 'cpu', values[1], values[0], environment('cpu'), dataset, metrics, images, {}, {},
        {} if bank else losses, {} if bank else stage_keys(config, seed, data), [], 'weights',
        record_curves(ds.labels, image_scores(maps), ds.masks, maps), record_draws(ds.labels, ds.masks, maps),
        {} if bank else declared_rule(LOG[experiment]))
    record.digest = record.content_digest()
    return record


@pytest.fixture(scope='module')
def clean():
    "Records that add up: two seeds, a parent, the memory bank, and a benchmark."
    ours = [('retained', 42), ('retained', 7), ('e5.4', 42), (COMPARATOR, 42)]
    made = [made_record(*run) for run in ours]
    made += [made_record('retained', seed, 'mvtec_ad_256', 'transistor', 'HVR') for seed in (42, 7)]
    return {r.place: r for r in made}


def findings(records):
    "What the audit says of records, by the places where they lie."
    found = [f for place, r in records.items() for f in audit_record(r, Path('results')/place, LOG)]
    return found + audit_together(list(records.values()))


def test_a_clean_set_has_no_finding(clean): assert findings(clean) == []


FIRST, OTHER = (f'generated-cable-efficientnet_lite0-cpu/retained-seed{seed}.json' for seed in (42, 7))
PARENT, BANK = (f'generated-cable-efficientnet_lite0-cpu/{name}-seed42.json' for name in ('e5.4', COMPARATOR))
REAL = 'mvtec_ad_256-transistor-efficientnet_lite0-cpu/retained-seed7.json'


def put(*keys):
    "An error: set the value under these keys; the last of them is the value, or a function of the old one."
    *path, last, value = keys
    def plant(r):
        at = vars(r)
        for key in path: at = at[key]
        at[last] = value(at[last]) if callable(value) else value
    return plant


def drop(*keys):
    "An error: leave out what stands under these keys."
    *path, last = keys
    def plant(r):
        at = vars(r)
        for key in path: at = at[key]
        del at[last]
    return plant


def more(amount): return lambda value: value + amount
def times(factor): return lambda value: value*factor


def shifted(curve): return [curve[0], [min(1., y + .01) if 0 < y < 1 else y for y in curve[1]]]


def lowered(curve): return [curve[0], [y*.9 for y in curve[1]]]


def reconfigured(**delta):
    "An error: another config, with its hash."
    def plant(r):
        config = apply_delta(r.resolved_config(), delta)
        r.config, r.config_hash = config.to_dict(), config.hash()
    return plant


def retyped(r):
    "A nominal image that scores high becomes a defect, figures and curve with it."
    r.images[0]['type'] = 'cable_swap'
    labels, scores = np.array(r.labels), np.array(r.scores)
    r.curves['image_roc'] = record_curves(labels, scores)['image_roc']


# Without a new digest: what the audit cannot compute again
UNHASHED = dict(
    durations=put('durations', dict(teacher=1.)), a_device=put('environment', 'device_name', 'another processor'))

FIGURES = dict(
    image_auroc=put('metrics', 'image_auroc', more(-.01)),
    image_precision=put('metrics', 'image_average_precision', .9), image_f1=put('metrics', 'image_f1_max', .9),
    a_type=put('metrics', 'per_type', 'bent_wire', more(-.01)),
    a_missing_type=drop('metrics', 'per_type', 'bent_wire'), an_unknown_type=put('metrics', 'per_type', 'new', 1.),
    a_score=put('images', -1, 'score', 0.), pixel_auroc=put('metrics', 'pixel_auroc', more(.002)),
    pro=put('metrics', 'aupro', more(.002)), pixel_precision=put('metrics', 'pixel_average_precision', times(1.5)),
    pixel_f1=put('metrics', 'pixel_f1_max', times(1.2)), pro_300=put('metrics', 'aupro_300', more(.02)),
    pro_300_lower=put('metrics', 'aupro_300', more(-.03)), pro_1000=put('metrics', 'aupro_1000', more(-.02)),
    pro_log_300=put('metrics', 'aupro_log_300', more(-.03)), pro_log_1000=put('metrics', 'aupro_log_1000', more(.02)),
    a_branch_above_1=put('metrics', 'by_branch', 'logical', 0, 'aupro', 1.2),
    a_missing_level=drop('metrics', 'by_branch', 'logical', 2),
    a_missing_branch=drop('metrics', 'by_branch', 'logical'),
    a_missing_figure=drop('metrics', 'pixel_auroc'), a_figure_without_reason=drop('metrics', 'aupimo'),
    image_roc=put('curves', 'image_roc', lowered), pixel_roc=put('curves', 'pixel_roc', shifted),
    pro_curve=put('curves', 'pro', lowered), pro_log_curve=put('curves', 'pro_log', lowered),
    a_falling_curve=put('curves', 'pro', lambda c: [c[0], c[1][::-1]]), pixels=put('curves', 'pixels', [10, 20]),
    a_missing_curve=drop('curves', 'pro'), fewer_draws=put('draws', 'aupro', lambda d: d[:-1]),
    other_draws=put('draws', 'pixel_auroc', lambda d: [v/2 for v in d]))
PLACES = dict(
    seed=put('seed', 43), experiment=put('experiment', 'e5.4'), budget=put('budget', 'cpu-large'),
    device=put('environment', 'device', 'cuda'), an_unknown_device=put('environment', 'device', 'tpu'),
    precision=reconfigured(**{'compute.precision': 'bf16'}),
    backbone=reconfigured(**{'distill.backbone': 'wide_resnet50_2'}),
    dataset=put('dataset', 'name', 'generated-1'), category=put('dataset', 'category', 'screw'))
FACTS = dict(
    config=put('config', 'train', 'lr', .002), config_and_hash=reconfigured(**{'train.lr': .002}),
    holdout=reconfigured(**{'data.holdout': .2}), config_hash=put('config_hash', '0'*12),
    size=reconfigured(**{'data.image_size': 256}), gain=put('rule', 'decision', 'gain', .005),
    deciding_metric=put('rule', 'decision', 'metric', 'image_auroc'), seeds=put('rule', 'seeds', 2),
    claim=put('rule', 'claim', dict(aupro='rises')), no_rule=put('rule', {}),
    fingerprint=put('dataset', 'fingerprint', 'f'*16), weights=put('backbone_weights', 'others'),
    fewer_images=put('dataset', 'test', 13), held_out=put('dataset', 'held_out', 8), train=put('dataset', 'train', 60),
    an_image_twice=put('images', 1, 'path', PATHS[0]), a_type_of_an_image=retyped)
TRAINING = dict(
    a_missing_epoch=drop('losses', 'train', -1), a_missing_term=drop('losses', 'train', 3, 'loss_autoencoder'),
    a_loss_of_zero=put('losses', 'distill', 4, 'distill', 0.),
    a_negative_loss=put('losses', 'train', 4, 'loss_student2', -1.),
    an_infinite_loss=put('losses', 'train', 9, 'loss_student2', float('inf')),
    a_jump=put('losses', 'train', 9, 'loss_autoencoder', times(5)), no_losses=put('losses', {}),
    a_missing_stage=drop('stages', 'range'), one_key_twice=lambda r: r.stages.update(maps=r.stages['range']),
    an_unknown_stage=put('reused', ['training']))
PLANTS = {**FIGURES, **PLACES, **FACTS, **TRAINING}


def planted(clean, plant, place=FIRST, digest=True, to=''):
    "What is found where one record of a copy has an error; `to` is where that record lies then."
    records = {k: copy.deepcopy(r) if k == place else r for k, r in clean.items()}
    r = records.pop(place)
    plant(r)
    if digest:
        try: r.digest = r.content_digest()
        except ValueError: r.digest = hashlib.sha256(b'of what JSON has no word for').hexdigest()[:12]
    return audit_record(r, Path('results')/(to or place), LOG) or audit_together([*records.values(), r])


@pytest.mark.parametrize('plant', UNHASHED.values(), ids=UNHASHED)
def test_what_cannot_be_computed_again_is_told_by_the_digest(plant, clean):
    assert planted(clean, plant, digest=False) == [f'{FIRST}: its content does not have its digest.']


@pytest.mark.parametrize('plant', PLANTS.values(), ids=PLANTS)
def test_an_error_with_a_new_digest_is_found(plant, clean):
    found = planted(clean, plant)
    assert found and not any('have its digest' in f for f in found)


def test_the_errors_are_many(): assert len(PLANTS) >= 30


@pytest.mark.parametrize('plant', [put('dataset', 'fingerprint', 'another'), put('backbone_weights', 'another'),
                                   put('dataset', lambda d: d | dict(train=45, held_out=5))])
def test_an_error_in_a_benchmarks_record_is_told_by_its_sibling(plant, clean):
    found = planted(clean, plant, REAL)
    assert any(REAL in f for f in found)


def taken(what, clean, of=FIRST):
    "An error: take something from the record of another seed."
    def plant(r): setattr(r, what, copy.deepcopy(getattr(clean[of], what)))
    return plant


def copied(clean):
    "An error: the other seed's record, whole, with new stage keys."
    def plant(r):
        for name in ('metrics', 'images', 'losses', 'curves'): taken(name, clean)(r)
    return plant


def one_key(clean, stage):
    "An error: a stage's key of another record."
    return lambda r: r.stages.update({stage: clean[FIRST].stages[stage]})


def test_a_copy_under_another_seed_is_found(clean):
    for plant in (taken('losses', clean), copied(clean)):
        assert any(FIRST in f and OTHER in f and 'copies' in f for f in planted(clean, plant, OTHER))


def test_a_copied_memory_bank_is_found(clean):
    records = clean | {BANK.replace('42', '7'): replace(copy.deepcopy(clean[BANK]), seed=7)}
    assert any('copies' in f for f in findings(records))


@pytest.mark.parametrize('place, stage', [(OTHER, 'teacher'), (PARENT, 'maps'), (REAL, 'student1')])
def test_a_stage_that_cannot_be_shared_is_found(place, stage, clean):
    found = planted(clean, one_key(clean, stage), place)
    assert any(FIRST in f and place in f and 'cannot share the stage' in f for f in found)


def test_a_memory_bank_that_trained_is_found(clean):
    assert 'trains nothing' in ' '.join(planted(clean, put('losses', dict(distill=[dict(distill=1.)])), BANK))
    assert 'another config today' in ' '.join(planted(clean, put('config', 'memory_bank', 'patches', 10), BANK))


@pytest.mark.parametrize('change, field', [
    (dict(seed=9), 'seed'), (dict(experiment='mine'), 'experiment'), (dict(budget='cpu-large'), 'budget')])
def test_an_error_that_its_file_name_repeats_is_found_too(change, field, clean):
    def plant(r):
        for name, value in change.items(): setattr(r, name, value)
        if field == 'seed': r.losses = copy.deepcopy(clean[FIRST].losses)
    to = replace(clean[FIRST], **change).place
    place = OTHER if field == 'seed' else FIRST
    assert any(to in f for f in planted(clean, plant, place, to=to))


def test_a_rule_that_was_changed_after_the_run_is_told(clean):
    changed = LOG | dict(retained=replace(LOG['retained'], decision=dict(metric='aupro', gain=.001)))
    found, = audit_record(clean[FIRST], Path('results')/FIRST, changed)
    assert 'the rule was changed after this run' in found and "'gain': 0.01" in found and "'gain': 0.001" in found


# Pages and the published log

KNOWN = Sources(LOG, load_reported(), [], {})
SAID = {
    'README.md': ('The paper reports 98.9 and 90.6.', 'The paper reports 99.1 and 90.6.'),
    'methodology.qmd': ('An interval of 2.48 deviations.', 'An interval of 2.84 deviations.'),
    'findings.ipynb': ('PRO fell by 4.6 points in experiment 4.', 'PRO fell by 4.9 points in experiment 4.'),
    'index.qmd': ('E5.5 reports 94.2 of image AUROC.', 'The log reports 94.2 of image AUROC.'),
    'e5.6.qmd': ('Against e5.5, PRO fell by 0.9 points.', 'Against e5.5, PRO fell by 6.9 points.'),
    'e5.1.qmd': ('PRO went from 83.7 to 79.2, by 4.5.', 'PRO went from 83.7 to 79.3.')}


@pytest.mark.parametrize('page', SAID)
def test_a_figure_without_a_source_is_named(page):
    good, bad = SAID[page]
    assert audit_page(Path(page), KNOWN, good) == [] and len(audit_page(Path(page), KNOWN, bad)) == 1


@pytest.mark.parametrize('kind, metric', [('mean', 'aupro'), ('span', 'image_auroc')])
def test_a_wrong_figure_of_a_published_table_is_named(kind, metric):
    wrong = load_reported()
    table = next(t for t in wrong['tables'] if t['experiment'] == 'screening-baseline')
    table['stated'][kind][metric] += 1
    assert len(audit_log(wrong)) == len(audit_log(load_reported())) + 1


def test_a_page_is_read_without_code_and_tables(tmp_path):
    page = tmp_path/'page.qmd'
    page.write_text('---\ntitle: 1.1\n---\n`2.2` [x](3.3)\n\n<!-- t -->\n| 4.4 |\n\n5.5\n<!-- /t -->\n\n'
                    '```\n6.6\n\n7.7\n```\n')
    assert audit_page(page, KNOWN) == []
