"The page of an experiment: the conclusion first, figures by seed, and commands that repeat it."
import pytest
from made_log import LOG, made_record, NOTHING_RAN, with_gains, with_records
from mudenet.report.experiment import badges, cases, closing, commands, opening, seeds_frame
from mudenet.report.log import effects_frame
from mudenet.study.records import COMPARATOR


def test_the_conclusion_stands_first():
    made = with_gains(**{'e5.5': .05, 'e5.4': .08})
    text = opening(made, 'e5.4', effects_frame(made))
    assert 'On generated cable (cpu), PRO changes by +3.3 [' in text and '**kept**' in text
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
    mine = made_record().dataset | dict(name='mine')
    both = made_record('retained', 123), made_record('retained', 7)
    made = with_records(*both, made_record('retained', 7, dataset=mine))
    text = commands(made, 'retained')
    assert 'for seed in 7 123; do' in text and 'OMP_NUM_THREADS=1 papermill experiments/run.ipynb ' in text
    assert 'runs/retained-cable-cpu-seed$seed.ipynb -p experiment retained -p seed $seed -p budget cpu' in text
    assert '-p data_root ~/mine -p category cable\n' in text


def test_pictures_of_one_seed_stand_together(tmp_path):
    made = with_records(made_record('e5.5'), made_record('e5.4'), made_record(COMPARATOR))
    made.project = tmp_path
    assert cases(made, 'e5.4') == ''
    for id in ('e5.5', 'e5.4'):
        path = tmp_path/'experiments'/'results'/made_record(id).folder/f'{id}-seed42.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    text = cases(made, 'e5.4')
    assert text.index('/e5.4-seed42.png') < text.index('/e5.5-seed42.png') and 'memory-bank' not in text


def test_an_executed_notebook_is_linked():
    assert '(../runs/best-seed42.ipynb)' in closing(NOTHING_RAN, 'best', ['best-seed42'])
