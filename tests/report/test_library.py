"Every notebook and every module becomes a page, without directives and without hidden cells."
import json, re
import pytest
from conftest import NOTEBOOKS, ROOT
from mudenet.report.equations import equations
from mudenet.report.library import (
    api_examples, api_pages, execute_notebook, executed_notebooks, library_pages, notebook_page)


@pytest.fixture(scope='module')
def files(): return library_pages(ROOT)


def made(*cells, **front):
    "The cells of the page of a notebook of these cells; code cells are pairs of source and outputs."
    code = [dict(cell_type='code', source=c[0], outputs=c[1]) if isinstance(c, tuple) else
            dict(cell_type='markdown', source=c) for c in cells]
    cells = json.loads(notebook_page(dict(cells=code), front)[1])['cells']
    return [c | dict(source=''.join(c['source'])) for c in cells]


def test_the_first_heading_is_the_title_and_hidden_cells_are_left_out():
    head, text, code, _ = made('# A title\n\n> lead', ('#| hide\nsecret()', []), ('#| export\nx = 1', []))
    assert head['source'] == '---\ntitle: A title\n---' and text['source'] == '> lead' and code['source'] == 'x = 1'


def test_an_option_of_the_renderers_stays():
    assert made(('#| echo: false\nf()', []))[1]['source'] == '#| echo: false\nf()'


@pytest.mark.parametrize('output, shown', [
    (dict(output_type='stream', name='stdout', text='said'), True),
    (dict(output_type='stream', name='stderr', text='warned'), False),
    (dict(output_type='display_data', metadata={}, data={'text/plain': '<Figure size 1x1>'}), False),
    (dict(output_type='display_data', metadata={}, data={'application/vnd.jupyter.widget-view+json': {}}), False)])
def test_an_output_is_shown(output, shown): assert bool(made(('f()', [output]))[1]['outputs']) == shown


def test_a_picture_has_a_text():
    output = dict(output_type='display_data', metadata={}, data={'image/png': 'aa'})
    assert made(('draw()', [output]), title='A')[1]['source'] == '#| fig-alt: "A"\ndraw()'


def test_a_picture_has_the_text_that_was_stored_with_it():
    output = dict(output_type='display_data', metadata={'image/png': dict(alt='A line that "rises".')},
                  data={'image/png': 'aa'})
    assert made(('draw()', [output]), title='A')[1]['source'].startswith('#| fig-alt: "A line that \\"rises\\"."')


def test_an_example_is_what_follows_a_definition_and_calls_it():
    def found(*cells): return api_examples(dict(cells=[dict(cell_type='code', source=c) for c in cells]))
    one = '#| export\ndef f(x): pass\nclass C: pass\ny = 1'
    assert found(one, 'f(C(2))') == dict(f='f(C(2))', C='f(C(2))')
    apart = '#| export\ndef f(x): pass', '#| export\ndef g(): pass'
    assert found(*apart, 'f(g())', 'f(2)') == dict(f='f(g())', g='f(g())')
    assert found(one, 'ff(2)') == found(one, '#| hide\nf(2)') == found('def f(x): pass', 'f(2)') == {}


@pytest.mark.parametrize('text', ['`$a$`', '```\n$a$\n```', 'from $5 to $6', r'\$a$'])
def test_what_is_no_equation_stays(text): assert equations(text) == text


def test_equations_are_mathml():
    assert equations('so $x^2$.').startswith('so <math') and equations('so $x^2$.').endswith('</math>.')
    assert 'display="block"' in equations('$$\nx\n$$') and '$' not in equations('$$x$$ and $y$')


def test_every_notebook_has_a_page_without_dollars(files):
    stems = {p.stem for p in NOTEBOOKS}
    assert {re.sub(r'.*/|\.ipynb', '', n) for n in files} == stems - {'index'} | {'tour', 'index.qmd'}
    for name, data in files.items():
        if not name.endswith('.ipynb'): continue
        prose = [''.join(c['source']) for c in json.loads(data)['cells'] if c['cell_type'] == 'markdown']
        assert '$$' not in re.sub(r'`[^`]*`', '', ''.join(prose)), name


def test_the_api_has_types_defaults_shapes_and_source():
    pages = {name: data.decode() for name, data in api_pages('https://x').items()}
    text = pages['library/api/model.score.qmd']
    assert '| `sigma` | float | `4.0` | standard deviation' in text and '](https://x/mudenet/model/score.py#L' in text
    assert '\nExample:\n\n```python\n' in pages['library/api/core.text.qmd']
    assert 'search: false' in pages['library/api/report.site.qmd'] and str(ROOT) not in ''.join(pages.values())


def test_a_name_has_its_setting_where_two_meet(tmp_path):
    for setting in ('a-cpu', 'b-cpu'):
        path = tmp_path/'runs'/'best'/setting/'seed42'/'run.ipynb'
        path.parent.mkdir(parents=True)
        path.write_text('{}')
    assert list(executed_notebooks(tmp_path)) == ['best-seed42', 'best-b-cpu-seed42']


def test_the_findings_are_said_of_the_committed_records():
    notebook = execute_notebook(ROOT/'experiments'/'findings.ipynb')
    said = json.dumps([c.get('outputs', []) for c in notebook['cells']])
    assert said.count('class=\\"finding\\"') in range(1, 6)
    assert 'No longer holds' not in said and 'Not run yet' not in said
