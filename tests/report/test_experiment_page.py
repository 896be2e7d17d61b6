"The page of an experiment: the conclusion first, figures by seed, and commands that repeat it."
import re
import numpy as np, pytest
from made_log import LOG, made_record, NOTHING_RAN, with_gains, with_records
from mudenet.report.experiment import badges, cases, closing, commands, curves, opening, seeds_frame
from mudenet.report.log import effects_frame
from mudenet.study.records import COMPARATOR


def test_the_conclusion_stands_first():
    made = with_gains(**{'e5.5': .05, 'e5.4': .08})
    text = opening(made, 'e5.4', effects_frame(made))
    assert 'On generated cable (cpu budget, 3 seeds), PRO changes by +3.3 points: **kept**' in text
    assert re.search(r'interval is \[\+2.6, \+4.0\] over seeds\.', text)
    assert text.index('class="verdict kept"') < text.index('PRO changes') < text.index('<svg') < text.index('Rule:')


@pytest.mark.parametrize('id', LOG.experiments)
def test_without_records_every_page_says_not_run(id):
    assert 'Not run yet' in opening(NOTHING_RAN, id, effects_frame(NOTHING_RAN))
    text = closing(NOTHING_RAN, id, [])
    assert '## Figures by seed' in text and f'runs/{id}-seed42.ipynb' in text


def test_a_verdict_says_what_weakens_it():
    effects = effects_frame(with_gains(**{'e5.5': .05, 'e5.4': .08})).query("metric == 'aupro' and verdict == 'kept'")
    assert badges(effects).endswith('<strong>kept</strong></span>')
    assert 'may be chance' in badges(effects.assign(adjusted=.06))
    assert 'chosen here' in badges(effects.assign(chosen=True, adjusted=.06))


def test_figures_by_seed_are_reported_and_measured():
    frame = seeds_frame(with_gains(**{'e5.4': .08}), 'e5.4').query("metric == 'PRO'").set_index('data')
    assert frame.loc['reported, MVTec AD cable', ['seed 42', 'seed 123', 'seed 7']].tolist() == [86.1, 86.7, 87.3]
    assert frame.loc['generated cable, cpu', 'mean'] == pytest.approx(89.8)              # 81 and 1.1 times 8
    assert seeds_frame(NOTHING_RAN, 'best').empty


def test_the_commands_repeat_each_record():
    mine = made_record().dataset | dict(name='mine', benchmark='folder')
    seventh = made_record().dataset | dict(name='generated-7')
    ours = made_record('retained', 123), made_record('retained', 7)
    made = with_records(*ours, *(made_record('retained', 7, dataset=d) for d in (mine, seventh)))
    text = commands(made, 'retained')
    assert 'for seed in 7 123; do' in text and 'OMP_NUM_THREADS=1 papermill experiments/run.ipynb ' in text
    assert 'runs/retained-generated-cable-cpu-seed$seed.ipynb -p experiment retained -p seed $seed -p bud' in text
    assert '-p data_root ~/mine -p category cable\n' in text and '-p data_seed 7\n' in text
    assert len(set(re.findall(r'runs/retained-\S+', text))) == 3                 # each with its own output


def test_an_interval_over_test_images_stands_beside_the_one_over_seeds():
    spread, records = np.linspace(.78, .82, 41), []
    for id, gain in (('e5.5', 0), ('e5.4', .05)):
        records += [made_record(id, n, draws=dict(aupro=(spread + gain).tolist())) for n in (1, 2, 3)]
    made = with_records(*records)
    assert ' over seeds and [+5.0, +5.0] over test images.' in opening(made, 'e5.4', effects_frame(made))


def sheets(project, *ids):
    "Empty sheets of pictures beside the records of some experiments."
    for id in ids:
        path = project/'experiments'/'results'/made_record(id).folder/f'{id}-seed42.webp'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')


def test_pictures_of_one_seed_stand_together(tmp_path):
    made = with_records(made_record('e5.5'), made_record('e5.4'), made_record(COMPARATOR))
    made.project = tmp_path
    assert cases(made, 'e5.4') == ''
    sheets(tmp_path, 'e5.5', 'e5.4', COMPARATOR)
    types = cases(made, 'e5.4').split('<h3>')[1:]
    columns = [re.match(r'(\w+)</h3>.*?--x:(\d)', t).groups() for t in types]
    assert columns == [('good', '0'), ('cut', '1'), ('poke', '2')]
    tile = r'/([\w.-]+)-seed42.webp" alt="([^"]+), poke" loading="lazy" style="--y:(\d)"'
    assert re.findall(tile, types[2]) == [
        ('e5.4', 'image', '0'), ('e5.4', 'this experiment', '1'), ('e5.5', 'its parent', '1'),
        (COMPARATOR, 'memory bank', '1'), ('e5.4', 'structural branch', '2'), ('e5.4', 'logical branch', '3')]
    assert types[2].count('<figure class="branch">') == 2


def test_a_third_branch_has_a_tile(tmp_path):
    config = made_record().config | dict(score=dict(backbone_branch=True))
    made = with_records(made_record('best', config=config))
    made.project = tmp_path
    sheets(tmp_path, 'best')
    assert 'backbone branch, cut' in cases(made, 'best') and 'its parent' not in cases(made, 'best')


def test_it_is_said_why_pictures_are_left_out(tmp_path):
    mvtec = made_record().dataset | dict(name='mvtec_ad', benchmark='mvtec_ad')
    theirs, ours = with_records(made_record(dataset=mvtec)), with_records(made_record())
    theirs.project = ours.project = tmp_path                       # without sheets
    assert 'CC BY-NC-SA' in closing(theirs, 'retained', [])
    assert '## Cases' not in closing(ours, 'retained', [])


def test_curves_stand_beside_the_parents():
    text = curves(with_gains(**{'e5.5': .05, 'e5.4': .08}), 'e5.4')
    assert '>this experiment</text>' in text and '>its parent</text>' in text and 'memory bank</text>' not in text
    assert curves(NOTHING_RAN, 'e5.4') == ''


def test_an_executed_notebook_is_linked():
    assert '(../runs/best-seed42.ipynb)' in closing(NOTHING_RAN, 'best', ['best-seed42'])
