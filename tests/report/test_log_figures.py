"What the figures of the log show, read back from their axes and their SVG."
from xml.etree import ElementTree
import matplotlib.pyplot as plt, pytest
from made_log import LOG, made_record, with_gains
from mudenet.report.drawing import figure_svg, VERDICT_COLORS
from mudenet.report.log import effects_frame, runs_frame
from mudenet.report.log_figures import curves_figure, forest, loss_curves, methods_figure
from mudenet.study.records import COMPARATOR

SVG = '{http://www.w3.org/2000/svg}'
MADE = effects_frame(with_gains(**{'e5.5': .05, 'e5.4': .08})).query("experiment == 'e5.4' and metric == 'aupro'")
NAMES = {'e5.4': LOG.name('e5.4')}


@pytest.fixture(autouse=True)
def closed():
    "No figure outlives its test."
    yield
    plt.close('all')


def epochs(k, distill=16):
    "Losses that fall as 1 in the epoch."
    train = [dict(loss_student1=k*30/e, loss_autoencoder=k*28/e, loss_student2=k*15/e) for e in range(1, 25)]
    return made_record(losses=dict(distill=[dict(distill=k*40/e) for e in range(1, distill + 1)], train=train))


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


def test_an_axis_has_even_ticks_around_zero():
    reported, measured = forest(MADE, 'experiment', 'data', NAMES).axes
    assert measured.get_xticks().tolist() == [-2, 0, 2]


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


def test_curves_are_means_over_seeds():
    other = made_record(curves=dict(image_roc=[[0, .2, 1], [.7, 1, 1]]))
    image, pixel, pro = curves_figure({'this': [made_record(), other], 'bank': [made_record()], 'none': []}).axes
    x, y = image.lines[0].get_data()
    assert len(image.lines) == 2 and x[-1] == 100 and y[0] == pytest.approx(60) and y[-1] == 100
    assert pro.lines[0].get_xdata()[-1] == pytest.approx(30)
    assert pixel.lines[0].get_ydata().tolist() == pixel.lines[1].get_ydata().tolist()
