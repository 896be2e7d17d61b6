"The site as a reader meets it: rendered, then opened in a browser; and no figure on it that a record doesn't hold."
import functools, http.server, os, shutil, subprocess, sys, threading
from pathlib import Path
import pytest, yaml
from conftest import ROOT
from mudenet.experiments import METRICS
from mudenet.log import write_log
from mudenet.records import read_json, write_json
from mudenet.site import check_pages, render

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
SOURCES = ('_quarto.yml', 'index.qmd', 'experiments', 'nbs')


def project(folder):
    "A copy of what the site is made from."
    for name in SOURCES:
        copy = shutil.copytree if (ROOT/name).is_dir() else shutil.copy
        copy(ROOT/name, folder/name, **(dict(ignore=shutil.ignore_patterns('_generated', '.ipynb_checkpoints')) if (ROOT/name).is_dir() else {}))
    return folder


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "The site of this checkout, by smalldocs."
    folder = project(tmp_path_factory.mktemp('site'))
    write_log(folder)
    return render(folder, 'smalldocs')


def test_smalldocs_finds_nothing(site):
    done = subprocess.run([sys.executable, '-m', 'smalldocs.cli', 'check', str(site.parent)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_quarto_renders_without_a_warning(site, tmp_path):
    if not shutil.which('quarto'): pytest.skip('quarto is not on the PATH')
    folder = project(tmp_path)
    write_log(folder)
    render(folder, 'quarto')


def test_a_broken_page_is_refused(site, tmp_path):
    shutil.copytree(site, tmp_path/'site')
    page = tmp_path/'site'/'index.html'
    page.write_text(page.read_text().replace('</main>', '<p>' + ':'*3 + ' {.note}</p><a href="gone.html">x</a></main>'))
    assert [f.split(': ', 1)[1] for f in check_pages(tmp_path/'site')] == [':'*3 + ' stands in the text.', 'gone.html leads nowhere.']


def test_every_experiment_has_a_page_and_a_row(site):
    listing = (site/'log'/'index.html').read_text()
    for path in (ROOT/'experiments').glob('*.qmd'):
        if 'id' not in (yaml.safe_load(path.read_text().split('---')[1]) or {}): continue
        assert (site/'log'/f'{path.stem}.html').exists() and f'href="./{path.stem}.html"' in listing.replace('href="', 'href="./').replace('././', './')


@pytest.fixture(scope='module')
def planted(tmp_path_factory):
    "Sources with a made-up comparison: e5.4 against its parent, three seeds, figures that occur nowhere else."
    folder = project(tmp_path_factory.mktemp('planted'))
    source = read_json(next((folder/'experiments'/'results').glob('generated*-cpu/retained-seed42.json')))
    shutil.rmtree(folder/'experiments'/'results')
    where = folder/'experiments'/'results'/'planted-cable-efficientnet_lite0-cpu'
    for k, seed in enumerate((42, 123, 7)):
        for id, figure in (('e5.5', .61171), ('e5.4', .63391), ('e5.8', .65381), ('phase-b', .58161)):
            r = source | dict(experiment=id, seed=seed, config_hash=id, dataset=source['dataset'] | dict(name='planted'), metrics=source['metrics'] | {m: figure + .001*k for m in METRICS})
            write_json(where/f'{id}-seed{seed}.json', r)
    return folder


def partial(folder, name): return (folder/'experiments'/'_generated'/f'{name}.md').read_text()


def test_a_planted_record_is_found_everywhere(planted):
    write_log(planted)
    page, listing = (planted/'log'/'e5.4.qmd').read_text(), (planted/'log'/'index.qmd').read_text()
    for figure in ('63.4', '63.5', '63.6', '61.3', '**+2.2**', 'kept'): assert figure in page
    assert 'ours: +2.2, +2.2, +2.2' in page and 'verdict: kept' in page and 'planted cable' in listing      # what the listing shows
    assert '+2.2' in partial(planted, 'differences') and 'kept (+2.2, +2.2, +2.2)' in partial(planted, 'roadmap')
    assert '58.3\u00a0±\u00a00.1' in partial(planted, 'headline') and 'planted cable' in partial(planted, 'seeds') and 'planted cable' in partial(planted, 'thresholds')
    assert 'ours: kept' in partial(planted, 'assumptions')           # e5.8, which tests A-005
    assert 'planted-cable' in partial(planted, 'audit')             # its image scores do not give the planted AUROC

    for path in (planted/'experiments'/'results').glob('planted*/*.json'): path.unlink()
    write_log(planted)
    assert 'planted' not in ''.join(p.read_text() for f in ('log', 'experiments/_generated') for p in (planted/f).glob('*.*md'))


def test_without_records_the_pages_say_not_run(tmp_path):
    folder = project(tmp_path)
    shutil.rmtree(folder/'experiments'/'results')
    write_log(folder)
    for path in (folder/'log').glob('*.qmd'): assert 'not run' in path.read_text().split('\n---\n', 1)[1], path.name      # its front matter says so too
    for name in ('headline', 'roadmap', 'claims', 'halves', 'comparator', 'differences', 'heatmaps', 'thresholds', 'assumptions'): assert 'not run' in partial(folder, name), name
    render(folder, 'smalldocs')


def test_the_workflow_is_one_that_github_reads():
    flow = yaml.safe_load((ROOT/'.github'/'workflows'/'site.yml').read_text())
    assert set(flow) == {'name', True, 'permissions', 'concurrency', 'jobs'}          # YAML reads `on` as true
    for job in flow['jobs'].values(): assert job['runs-on'] and all(('uses' in s) != ('run' in s) for s in job['steps'])


# --- in a browser

@pytest.fixture(scope='module')
def address(site):
    "The site, served."
    handler = functools.partial(type('Quiet', (http.server.SimpleHTTPRequestHandler,), dict(log_message=lambda *a: None)), directory=site)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}'
    server.shutdown()


@pytest.fixture(scope='module')
def browser():
    if not CHROMIUM: pytest.skip('no chromium is installed')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'])
        yield b
        b.close()


STATE = """() => ({
    broken: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
    nameless: [...document.images].filter(i => !i.hasAttribute('alt')).map(i => i.src),
    over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    widest: [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, pre, .quarto-listing, svg, p:has(> img.cases)')).slice(0, 3).map(e => e.outerHTML.slice(0, 120)),
    headless: [...document.querySelectorAll('main table')].filter(t => !t.querySelector('th')).length,
    titles: document.querySelectorAll('h1').length,
})"""
SHOTS = ('index', 'log/index', 'log/e5.4', 'log/retained', 'experiments/audit', 'experiments/roadmap', 'experiments/assumptions', 'experiments/methodology', 'library/index', 'library/12_figures', 'library/api/score')


@pytest.mark.parametrize('theme', ['light', 'dark'])
@pytest.mark.parametrize('width', [400, 1400])
def test_every_page_in_a_browser(site, address, browser, width, theme):
    context = browser.new_context(viewport=dict(width=width, height=900), color_scheme=theme)
    page, said, shots = context.new_page(), [], os.environ.get('SITE_SCREENSHOTS')
    page.on('console', lambda m: said.append(f'{page.url}: {m.text}') if m.type in ('error', 'warning') else None)
    page.on('pageerror', lambda e: said.append(f'{page.url}: {e}'))
    page.on('request', lambda r: said.append(f'{page.url}: it asks {r.url}') if not r.url.startswith((address, 'data:', 'blob:')) else None)
    for path in sorted(p.relative_to(site).as_posix() for p in site.rglob('*.html') if 'site_libs' not in p.parts):
        page.goto(f'{address}/{path}', wait_until='load')
        state = page.evaluate(STATE)
        assert state['over'] <= 0 and not state['widest'], (path, state)
        assert not state['broken'] and not state['nameless'] and not state['headless'] and state['titles'] == 1, (path, state)
        if shots and path.removesuffix('.html') in SHOTS:
            Path(shots).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(shots)/f"{path.removesuffix('.html').replace('/', '-')}-{width}-{theme}.png", full_page=True)
    assert not said, said
    dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b) < 380")
    assert dark == (theme == 'dark')
    context.close()


CONTRAST = """() => {
    const rgb = s => s.match(/[\\d.]+/g).map(Number);
    const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v/12.92 : ((v + .055)/1.055)**2.4); return .2126*r + .7152*g + .0722*b; };
    const under = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > .9) return c; } return [255, 255, 255]; };
    const poor = [];
    for (const e of document.querySelectorAll('main p, main li, main td, main th, main h1, main h2, main h3, main a, main figcaption, main code span, .navbar a, .margin-sidebar a, footer p')) {
        if (![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim()) || !e.offsetParent || e.closest('svg') || e.classList.contains('visually-hidden')) continue;
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(under(e))];
        const ratio = (Math.max(a, b) + .05)/(Math.min(a, b) + .05);
        if (ratio < 4.5) poor.push(`${ratio.toFixed(1)} ${e.outerHTML.slice(0, 90)}`);
    }
    return poor.slice(0, 5);
}"""


@pytest.mark.parametrize('theme', ['light', 'dark'])
@pytest.mark.parametrize('path', ['index', 'log/index', 'log/e5.4', 'experiments/audit', 'library/08_score', 'library/api/score'])
def test_text_has_contrast(address, browser, path, theme):
    page = browser.new_page(color_scheme=theme, viewport=dict(width=1400, height=900))
    page.goto(f'{address}/{path}.html', wait_until='load')
    assert page.evaluate(CONTRAST) == []
    page.close()


@pytest.mark.parametrize('width', [400, 1400])
def test_the_listing_filters_sorts_and_leads_on(address, browser, width):
    page = browser.new_page(viewport=dict(width=width, height=900))
    page.goto(f'{address}/log/index.html', wait_until='load')
    rows = lambda: [r.inner_text() for r in page.query_selector_all('.quarto-listing tbody tr') if r.is_visible()]
    everything = rows()
    assert len(everything) == len(list((ROOT/'experiments').glob('*.qmd'))) - len([p for p in yaml.safe_load((ROOT/'_quarto.yml').read_text())['project']['render'] if p.startswith('experiments/')])
    assert 'baseline' in everything[0]                                             # the log's order
    box = page.query_selector('.quarto-listing input')
    box.fill('cosine')
    page.wait_for_timeout(300)
    assert 0 < len(rows()) < len(everything) and all('osine' in r for r in rows())
    box.fill('')
    page.wait_for_timeout(300)
    page.locator('.quarto-listing-category .category', has_text='rejected in the log').first.click()
    page.wait_for_timeout(300)
    assert 0 < len(rows()) < len(everything)
    page.goto(f'{address}/log/index.html', wait_until='load')
    page.locator('.quarto-listing a', has_text='e5.4: ').first.click()
    page.wait_for_load_state()
    assert page.url.endswith('/log/e5.4.html') and 'Cosine' in page.locator('h1').inner_text()
    page.close()


def test_search_finds_and_the_theme_toggles(address, browser):
    page = browser.new_page(viewport=dict(width=1400, height=900))
    page.goto(f'{address}/index.html', wait_until='load')
    page.locator('input[aria-label*="earch" i], input[type=search]').first.fill('Kronecker')
    page.wait_for_selector('.search-result, .aa-Item', timeout=5000)
    page.keyboard.press('Escape')
    colour = lambda: page.evaluate('() => getComputedStyle(document.body).backgroundColor')
    before = colour()
    page.locator('.quarto-color-scheme-toggle').first.click()
    page.wait_for_timeout(300)
    assert colour() != before
    page.close()
