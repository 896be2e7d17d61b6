"What the figures show, read back from their axes and their SVG."
from dataclasses import replace
from xml.etree import ElementTree
import matplotlib.pyplot as plt, pytest, torch
from made_log import LOG, made_record, with_gains
from mudenet.data.cable import generate_cable
from mudenet.report.drawing import figure_svg, VERDICT_COLORS
from mudenet.report.log import effects_frame, runs_frame
from mudenet.report.log_figures import forest, loss_curves, methods_figure
from mudenet.report.run_figures import metrics_table, show_cases, show_losses, show_samples, show_scores, types_table
from mudenet.study.records import COMPARATOR

SVG = '{http://www.w3.org/2000/svg}'
MADE = effects_frame(with_gains(**{'e5.5': .05, 'e5.4': .08})).query("experiment == 'e5.4' and metric == 'aupro'")
NAMES = {'e5.4': LOG.name('e5.4')}


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


# A run

def test_the_hardest_type_stands_first():
    assert types_table(made_record()).index.tolist() == ['poke', 'cut']


def test_what_is_not_measured_says_why():
    bare = made_record(metrics=dict(image_auroc=.9, per_type={}, absent=dict(aupro='no masks')))
    assert metrics_table(bare)['%'].to_dict() == {'image AUROC': '90.0', 'PRO': 'not measured: no masks'}
    assert types_table(bare).empty


def test_losses_are_drawn_by_epoch():
    one, two = show_losses(epochs(1.)).axes
    assert [len(ax.lines) for ax in (one, two)] == [1, 3]
    assert list(one.lines[0].get_xdata()) == list(range(1, 17)) and one.lines[0].get_ydata()[-1] == 40/16


def test_scores_are_drawn_by_type():
    _, strip = show_scores(made_record()).axes
    assert {t.get_text() for t in strip.get_yticklabels()} == {'good', 'cut', 'poke'}


def test_cases_are_the_extreme_ones(cable):
    height = torch.arange(len(cable.test))[:, None, None]          # the defects of later images score higher
    maps = cable.masks*height + .1
    found = [ax.get_title().split('\n') for ax in show_cases(cable, maps, 1).axes[:3]]
    last = max(i for i, t in enumerate(cable.types) if t != 'good')
    assert [t[0] for t in found] == ['found', 'missed most', 'false alarm']
    assert found[0][1] == cable.types[last] and found[2][1] == 'good'


def test_images_without_masks_are_drawn(cable):
    bare = replace(cable, masks=None, types=['good']*len(cable.test))
    assert len(show_cases(bare, cable.masks.float()).axes) == 3*4 and len(show_samples(bare).axes) == 2


# The log

def test_a_figure_is_svg_whose_text_stays_text():
    svg = figure_svg(forest, MADE, 'experiment', 'data', NAMES, True, alt='two effects', name='lesson')
    tree = ElementTree.fromstring(svg)
    assert tree.attrib['aria-label'] == 'two effects'
    assert {'the log\'s last configuration', 'generated cable', 'points'} <= {t.text for t in tree.iter(SVG + 'text')}
    ids = [e.attrib['id'] for e in tree.iter() if 'id' in e.attrib]
    assert ids and all(i.startswith('lesson-') for i in ids)
    assert 'currentColor' in svg and '#010203' not in svg


def test_a_mark_has_a_hover_text_and_a_link():
    tree = ElementTree.fromstring(figure_svg(forest, MADE, 'experiment', 'data', NAMES, True, alt='a', name='n'))
    assert [t.text for t in tree.iter(SVG + 'title')] == MADE.tip.tolist()
    assert {a.attrib['{http://www.w3.org/1999/xlink}href'] for a in tree.iter(SVG + 'a')} == {'e5.4.html'}


def test_the_same_input_gives_the_same_bytes():
    one, two = (figure_svg(forest, MADE, 'experiment', 'data', NAMES, alt='a', name='n') for _ in range(2))
    assert one == two


def test_an_effect_stands_at_its_points_colored_by_its_verdict():
    reported, measured = forest(MADE, 'experiment', 'data', NAMES).axes
    assert measured.lines[1].get_xdata()[0] == pytest.approx(3.3)
    assert [measured.lines[k].get_color() for k in (0, 1)] == [VERDICT_COLORS['kept']]*2
    assert reported.lines[1].get_markerfacecolor() == 'none'


def test_no_axis_is_narrower_than_a_point_either_way():
    tiny = MADE.assign(difference=.00001, low=-.0001, high=.0001)
    for ax in forest(tiny, 'experiment', 'data', NAMES).axes: assert ax.get_xlim()[0] <= -1 and ax.get_xlim()[1] >= 1


def test_methods_are_drawn_a_dot_a_run():
    runs = runs_frame(with_gains(**{'retained': .02, COMPARATOR: .01}))
    pro, image = methods_figure(runs, LOG.reported['paper']).axes
    dots = [float(line.get_xdata()[0]) for line in pro.lines if line.get_marker() not in ('', 'None')]
    assert sorted(dots) == pytest.approx([81, 82, 82.1, 83.1, 83.2, 84.4], abs=.11)
    assert len(image.lines) == len(pro.lines)


def test_losses_are_means_over_seeds_and_the_parents_dashed():
    ax = loss_curves([epochs(1.), epochs(1.2)], [epochs(2.)]).axes[0]
    assert [line.get_linestyle() for line in ax.lines] == ['--', '-']
    assert ax.lines[0].get_ydata()[0] == 80 and ax.lines[1].get_ydata()[0] == pytest.approx(44)
    assert all(not ax.lines for ax in loss_curves([made_record()]).axes)
