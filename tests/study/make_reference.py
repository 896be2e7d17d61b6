"""What two tiny runs give, stage by stage, kept in reference_run.json beside this file.

`python tests/study/make_reference.py` writes that file anew: after a stage's version was raised, or where the runs
themselves are other ones. It refuses to hide a result that changed while its stage's version did not.
"""
import os
os.environ.setdefault('OMP_NUM_THREADS', '1')       # before torch starts
import sys, tempfile
from pathlib import Path
import numpy as np
from mudenet.core.config import BUDGETS, Augment, Config, apply_delta
from mudenet.core.files import read_json, write_json
from mudenet.data.cable import generate_cable
from mudenet.model.backbone import load_backbone, weights_fingerprint
from mudenet.model.mudenet import NETWORKS
from mudenet.study.stages import STAGES, run_stages
from mudenet.study.store import Store

ROOT, FILE, SEED = Path(__file__).resolve().parents[2], Path(__file__).with_name('reference_run.json'), 42
COMMAND = 'python tests/study/make_reference.py'
# Few and small steps: Adam divides a gradient by its size, so rounding grows with their number and length.
SHORT = {'augment': vars(Augment(True, False, 0., .1)), 'distill': dict(epochs=2, batch_size=4, lr=1e-4),
         'train': dict(epochs=3, batch_size=4, lr=1e-4)}
RUNS = {            # what each changes
    'retained': {},
    'other': {'network': dict(autoencoder_norm=True, block='pre-activation', projection='bn'),
              'distill': dict(upsampling='nearest', weight_decay=1e-3, lr_schedule='cosine', strides='8-16'),
              'train': dict(detach=False, warmup=.3, grad_clip=1., student2_weight=2., reduction='mean'),
              'score': dict(backbone_branch=True, normalize_by='position', clamp=False, interpolation='bicubic'),
              'metric': dict(num_thresholds=300)}}


# The runs

def config_of(name):
    "A run's configuration."
    config = apply_delta(apply_delta(Config(), BUDGETS['smoke']), SHORT)
    return apply_delta(config, RUNS[name])


def make_images(): return generate_cable(64, train=12, good=4, defects=dict(cable_swap=3, missing_cable=3))


def brightness(ds):
    "The mean of the pixels and of the masks; it does not hang on the last bit of a pixel."
    return [round(t.float().mean().item(), 2) for t in (ds.train, ds.test, 255*ds.masks)]


def inputs_of(ds):
    "What the runs are given: where it changes, so do the results, and no stage is to blame."
    return dict(configs={name: config_of(name).hash() for name in RUNS}, images=brightness(ds),
                weights=weights_fingerprint(load_backbone(config_of('retained').distill.backbone)),
                versions={s.name: s.version for s in STAGES})


def named(name, values): return {f'{name} {i}': v for i, v in enumerate(values)}


def results_of(out):
    "What the stages of a run gave: numbers by name, by stage."
    found, tensors = {}, {n: out.results[n].tensors for n in ('distances', 'range', 'maps')}
    for n in NETWORKS: found[n] = named('loss', [v for e in out.results[n].facts['losses'] for v in e.values()])
    found['distances'] = named('branch and level', tensors['distances']['distances'].mean((0, 3, 4)).flatten().tolist())
    low, high = tensors['range']['range']
    found['range'] = (named('low', low.mean((2, 3)).flatten().tolist())
                      | named('high', high.mean((2, 3)).flatten().tolist()))
    found['maps'] = named('score', tensors['maps']['maps'].amax((1, 2)).tolist())
    found['metrics'] = {k: v for k, v in out.metrics.items() if isinstance(v, float)}
    return found


def measure(name, ds):
    "Do a run afresh; returns its results."
    with tempfile.TemporaryDirectory() as folder:
        return results_of(run_stages(ds, config_of(name), SEED, Store(Path(folder))))


# Comparison

# How far another machine may be. 2 and 4 threads, and AVX2 and SSE instead of AVX-512, moved losses by 1e-5 of
# themselves, distances and scores by 2e-4, ranges by 7e-4, and figures of pixels by 3e-5; other versions of torch may
# move them further. A change that matters, such as a loss times 1.01, is larger than any of these tolerances.
RELATIVE = dict(distances=2e-3, range=5e-3, maps=5e-3, metrics=0.) | dict.fromkeys(NETWORKS, 2e-3)
FIGURES, PAIR = 5e-3, .05       # absolute, of figures of pixels; of figures of images, in which two may change places


def is_close(stage, name, now, before):
    if stage != 'metrics': return np.isclose(now, before, rtol=RELATIVE[stage], atol=1e-6)
    return abs(now - before) <= (PAIR if name.startswith('image') else FIGURES)


def changed_results(results, reference):
    "The first stage whose results are others, and which of them; None where there is none."
    for s in STAGES:
        now, before = results[s.name], reference[s.name]
        if set(now) != set(before): return s, [f'{sorted(now)} instead of {sorted(before)}']
        others = [n for n in now if not is_close(s.name, n, now[n], before[n])]
        if others: return s, [f'{n} is {now[n]:.6g}, it was {before[n]:.6g}' for n in others]
    return None


def notebook_of(stage):
    "The notebook that holds a stage's row."
    room, module = stage.make.__module__.split('.')[1:]
    found, = (ROOT/'nbs'/room).glob(f'[0-9][0-9]_{module}.ipynb')
    return found.relative_to(ROOT).as_posix()


def complaint(run, stage, wrong):
    "What the author of a change should know."
    return (f"The result of stage '{stage.name}' changed ({run}: {'; '.join(wrong[:3])}). If that is meant, raise the "
            f"version of stage '{stage.name}' in {notebook_of(stage)} (its @stage row), so that no run takes an older "
            f"result from the store, and do: {COMMAND}")


def changed_inputs(inputs, reference):
    "Which of the inputs are others, in one sentence; empty where none is."
    which = [k for k in inputs if inputs[k] != reference.get(k)]
    if not which: return ''
    return f"The reference is of other {' and '.join(which)} of its runs; make it anew: {COMMAND}"


def main():
    ds = make_images()
    inputs, runs = inputs_of(ds), {name: measure(name, ds) for name in RUNS}
    if FILE.exists() and not changed_inputs(inputs, (old := read_json(FILE))['inputs']):
        for name in RUNS:
            if found := changed_results(runs[name], old['runs'][name]): return complaint(name, *found)
    write_json(FILE, dict(inputs=inputs, runs=runs))
    print(f'Written to {FILE.relative_to(ROOT)}.')


if __name__ == '__main__': sys.exit(main())
