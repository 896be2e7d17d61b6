"What the figures of a run show, read back from their axes."
from dataclasses import replace
import matplotlib.pyplot as plt, pytest, torch
from made_log import made_record
from mudenet.data.cable import generate_cable
from mudenet.report.run_figures import (changes_table, draw_cases, draw_curves, draw_losses, draw_samples, draw_scores,
                                        folded_config, metrics_table, run_sentence, types_table, typical_defects,
                                        worst_false_alarms)
from mudenet.study.experiments import load_experiments
from mudenet.study.run import Run, plan_run


@pytest.fixture(autouse=True)
def closed():
    "No figure outlives its test."
    yield
    plt.close('all')


@pytest.fixture(scope='module')
def cable(): return generate_cable(64, train=2, good=3, defects={'cable_swap': 2, 'bent_wire': 2})


def epochs(k, distill=16):
    "Losses that fall as 1 in the epoch."
    train = [dict(loss_student1=k*30/e, loss_autoencoder=k*28/e, loss_student2=k*15/e) for e in range(1, 25)]
    return made_record(losses=dict(distill=[dict(distill=k*40/e) for e in range(1, distill + 1)], train=train))


def test_the_hardest_type_stands_first():
    assert types_table(made_record()).index.tolist() == ['poke', 'cut']


def test_what_is_not_measured_says_why():
    bare = made_record(metrics=dict(image_auroc=.9, per_type={}, absent=dict(aupro='no masks')))
    assert metrics_table(bare)['%'].to_dict() == {'image AUROC': '90.0', 'PRO': 'not measured: no masks'}
    assert types_table(bare).empty


def test_spro_stands_beside_the_auroc_where_a_record_has_it():
    metrics = made_record().metrics | dict(per_type=dict(cut=.8, poke=.7), spro_per_type=dict(cut=.5, poke=.6))
    assert types_table(made_record(metrics=metrics))['sPRO, %'].to_dict() == dict(poke=60., cut=50.)


def test_losses_are_drawn_by_epoch():
    one, two = draw_losses(epochs(1.)).axes
    assert [len(ax.lines) for ax in (one, two)] == [1, 3]
    assert list(one.lines[0].get_xdata()) == list(range(1, 17)) and one.lines[0].get_ydata()[-1] == 40/16


def test_scores_are_drawn_by_type():
    [ax] = draw_scores(made_record()).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ['cut', 'poke', 'good']


def test_a_curve_has_its_area_in_its_title_and_a_missing_one_no_place():
    record = made_record(curves=dict(image_roc=[[0, 0, 1], [0, .5, 1]], pro=[[0, .3], [0, 1]]))
    assert [ax.get_title() for ax in draw_curves(record).axes] == ['ROC, images: 75.0 %', 'PRO: 50.0 %']
    assert [ax.get_title() for ax in draw_curves(made_record(curves={})).axes] == ['']


def test_a_type_is_shown_by_its_median_and_false_alarms_by_the_highest(cable):
    scores = [.1*i for i in range(len(cable.test))]
    middle = typical_defects(cable, scores)
    assert [cable.types[i] for i in middle] == ['bent_wire', 'cable_swap']
    assert middle == [cable.types.index(t) for t in ('bent_wire', 'cable_swap')]       # of two, the lower one
    good = [i for i, t in enumerate(cable.types) if t == 'good']
    assert worst_false_alarms(cable, scores, 2) == good[:-3:-1]


def test_a_case_is_an_image_and_its_maps_each_160_pixels(cable):
    maps = {'fused map': torch.rand(2, 64, 64), 'structural branch': torch.rand(2, 64, 64)}
    figure = draw_cases(cable, [1.]*len(cable.test), [0, 1], maps)
    assert [ax.get_title() for ax in figure.axes[:3]] == ['bent wire\nscore 1.00', *maps]
    sizes = [ax.get_position().size*figure.get_size_inches()*figure.dpi for ax in figure.axes]
    assert len(sizes) == 6 and all(s.round().tolist() == [160, 160] for s in sizes)


def test_images_without_masks_or_nominal_ones_are_drawn(cable):
    bare = replace(cable, masks=None, types=['good']*len(cable.test))
    assert len(draw_cases(bare, [1.]*len(cable.test), [0], {'fused map': torch.ones(1, 64, 64)}).axes) == 2
    assert len(draw_samples(bare).axes) == 1 and typical_defects(bare, [1.]*len(cable.test)) == []
    defective = replace(cable, types=['cut']*len(cable.test))
    assert len(draw_cases(defective, [1.]*len(cable.test), [0], {'fused map': torch.zeros(1, 64, 64)}).axes) == 2


def test_what_will_run_is_a_sentence_and_what_differs_from_the_budget(tmp_path):
    job = plan_run(Run('exp1', budget='smoke', device='cpu', runs_dir=str(tmp_path), overrides={'train.lr': 1e-4}))
    said = run_sentence(job, load_experiments()['exp1'])
    assert '**exp1**' in said and 'for 1 epoch, from generated cables at 64 pixels, on the CPU' in said
    assert str(tmp_path) not in said
    table = changes_table(job)
    assert table.loc['train.lr'].tolist() == ['0.0001', '0.001'] and 'augment.rotation' not in table.index
    assert folded_config(job.config).count('<details>') == 1
