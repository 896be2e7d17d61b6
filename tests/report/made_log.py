"Records and logs that are made up, so that what a page says of them is arithmetic."
from dataclasses import replace
from mudenet.report.log import read_log
from mudenet.study.experiments import METRICS
from mudenet.study.records import group_records, Record

LOG = read_log()
NOTHING_RAN = replace(LOG, groups={})
SEEDS = (42, 123, 7)


def made_record(experiment='retained', seed=42, **changes):
    "A record of the generated cable at the cpu budget."
    images = [dict(path=f'{t}/{k}.png', type=t, score=float(k)) for k, t in enumerate(('good', 'good', 'cut', 'poke'))]
    dataset = dict(name='generated', benchmark='generated', category='cable', fingerprint='f', train=202, held_out=22,
                   test=14)
    config = dict(data=dict(image_size=64), distill=dict(backbone='efficientnet_lite0'),
                  metric=dict(num_thresholds=None), score=dict(backbone_branch=False))
    metrics = dict.fromkeys(METRICS, .8) | dict(per_type=dict(cut=.9, poke=.7))
    curves = dict(image_roc=[[0, .2, 1], [.5, .9, 1]], pixel_roc=[[0, .1, 1], [0, .8, 1]],
                  pro=[[0, .1, .3], [0, .6, .8]])
    facts = dict(experiment=experiment, seed=seed, budget='cpu', config=config, config_hash=experiment,
                 environment=dict(device='cpu', device_name='a machine', threads=1), dataset=dataset, metrics=metrics,
                 images=images, curves=curves, durations={}, peak_memory={}, stages=dict(maps=f'{experiment} {seed}'))
    return Record(**facts | changes)


def with_records(*records):
    "The log with these records alone."
    return replace(LOG, groups=group_records(sorted(records, key=lambda r: (r.experiment, r.seed))))


def with_gains(**gains):
    "The log with records of 80, 81 and 82 % on three seeds, plus 1, 1.1 and 1.2 times a gain."
    records = []
    for id, gain in gains.items():
        for k, seed in enumerate(SEEDS):
            figures = dict.fromkeys(METRICS, .8 + .01*k + gain*(1 + .1*k))
            records.append(made_record(id, seed, metrics=figures | dict(per_type=dict(cut=.9, poke=.7))))
    return with_records(*records)
