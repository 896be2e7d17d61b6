"The site as a reader meets it: rendered, then opened in a browser; and no figure on it that a record doesn't hold."
import functools, html, http.server, os, re, shutil, threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
import pytest, yaml
from PIL import Image
from conftest import ROOT
from made_log import made_record, SEEDS
from mudenet.core.errors import UserError
from mudenet.report.site import render, warnings_of
from mudenet.report.tables import findings_of, write_log
from mudenet.study.experiments import METRICS
from mudenet.study.records import COMPARATOR

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
SOURCES = ('_quarto.yml', 'index.qmd', '404.qmd', 'CHANGELOG.md', 'CONTRIBUTING.md', 'CITATION.cff', 'experiments',
           'nbs')
FIGURES = {'e5.5': .61171, 'e5.4': .63391, 'e5.8': .65381, 'retained': .58161, 'best': .66666, COMPARATOR: .6}


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    "A copy of what the site is made from, with made-up records: three seeds, figures that occur nowhere else."
    folder = tmp_path_factory.mktemp('site')
    for name in SOURCES:
        ignore = shutil.ignore_patterns('results', '.ip*')
        if (ROOT/name).is_dir(): shutil.copytree(ROOT/name, folder/name, ignore=ignore)
        else: shutil.copy(ROOT/name, folder/name)
    for category in ('cable', 'bottle'):
        for k, seed in enumerate(SEEDS):
            for id, figure in FIGURES.items():
                metrics = dict.fromkeys((*METRICS, 'aupro_log_1000'), figure + .001*k) | dict(per_type={})
                dataset = made_record().dataset | dict(name='planted', category=category)
                record = made_record(id, seed, metrics=metrics, dataset=dataset)
                path = folder/'experiments'/'results'/record.folder/record.file
                record.write(path)
                Image.new('RGB', (3*160, 4*160), 'teal').save(path.with_suffix('.webp'))     # good, cut and poke
    run = folder/'experiments'/'executed'/'best-seed42.ipynb'
    run.parent.mkdir(exist_ok=True)
    shutil.copy(folder/'experiments'/'run.ipynb', run)
    (folder/'log').mkdir()
    (folder/'log'/'old.qmd').write_text('of an earlier site')
    write_log(folder)
    return folder


@pytest.fixture(scope='module')
def site(project):
    "The site, by smalldocs."
    return render(project, 'smalldocs')


def pages_of(site):
    paths = [p for p in site.rglob('*.html') if 'site_libs' not in p.parts]
    return sorted(p.relative_to(site).as_posix() for p in paths)


# What is written and rendered

def test_quarto_renders_without_a_warning(project):
    if not shutil.which('quarto'): pytest.skip('quarto is not on the PATH')
    render(project, 'quarto')


def test_what_is_not_written_is_not_rendered(tmp_path):
    with pytest.raises(UserError, match='holds no pages'): render(tmp_path)


@pytest.mark.parametrize('line', ['\x1b[33mWARN: a\x1b[39m', 'warning: unknown key', 'ERROR: b'])
def test_a_warning_is_found_in_color_too(line): assert warnings_of(f'fine\n{line}\nfine')


def test_a_renderer_that_warns_is_refused(tmp_path, monkeypatch):
    (tmp_path/'log').mkdir()
    (tmp_path/'log'/'_quarto.yml').write_text('')
    stub = dict(smalldocs=['printf', '\033[33mWARN: broken\033[39m'])
    monkeypatch.setattr('mudenet.report.site.COMMANDS', stub)
    with pytest.raises(UserError, match='WARN: broken'): render(tmp_path, 'smalldocs')


def test_findings_are_read_from_the_outputs():
    output = dict(data={'text/html': '<p class="finding">One.</p><figure></figure>'})
    assert findings_of(dict(cells=[dict(outputs=[output])])) == ['One.']


def test_the_folder_holds_what_is_generated_and_nothing_else(project):
    assert not (project/'log'/'old.qmd').exists() and (project/'log'/'index.qmd').exists()


def test_a_planted_record_is_found_everywhere(site):
    def text(name): return html.unescape((site/f'{name}.html').read_text())
    assert '<strong>kept</strong>' in text('experiments/e5.4') and 'PRO changes by +2.2' in text('experiments/e5.4')
    assert 'our best is ahead of the memory bank on 2 of 2 data sets' in text('index')
    assert '63.5' in text('experiments/e5.4') and '63.5' in text('experiments/records')
    assert 'planted cable' in text('index') and 'PRO +2.2' in text('experiments/index')
    ahead = 'in PRO it is ahead on 2 of 2 data sets (+6.7 points in the mean'
    assert ahead in text('index') and ahead in text('experiments/findings')
    assert 'planted-cable' in text('experiments/audit')            # its image scores do not give the planted AUROC
    assert '0.63391' in (site/'experiments'/'records.csv').read_text()


def test_every_experiment_and_executed_notebook_has_a_page(site):
    for path in (ROOT/'experiments').glob('*.qmd'):
        if 'id' in (yaml.safe_load(path.read_text().split('---')[1]) or {}):
            assert (site/'experiments'/f'{path.stem}.html').exists()
    assert '../runs/best-seed42.html' in (site/'experiments'/'best.html').read_text()
    assert (site/'runs'/'best-seed42.html').exists()


class Page(HTMLParser):
    "Text, title, targets, ids, pictures without text, and what is loaded from other hosts, of one page."
    def __init__(self, text):
        super().__init__()
        self.text, self.targets, self.ids, self.wrong, self.off = [], [], set(), [], 0
        self.title = re.search(r'<title>(.*?)</title>', text, re.S)[1]
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids.add(a.get('id'))
        self.off += tag in ('pre', 'code', 'script', 'style')
        if tag == 'img' and not a.get('alt'): self.wrong.append(f"no text: {a.get('src', '')[:60]}")
        if tag == 'svg' and a.get('role') == 'img' and not (a.get('aria-label') or a.get('aria-labelledby')):
            self.wrong.append('a drawing has no text')
        if tag in ('a', 'img', 'link', 'script'):
            self.targets += [a[k] for k in ('href', 'xlink:href', 'src') if a.get(k)]
        loaded = a.get('src') or (a.get('href') if a.get('rel') == 'stylesheet' else '') or ''
        if loaded.startswith(('http', '//')): self.wrong.append(f'it loads {loaded}')

    def handle_endtag(self, tag): self.off -= tag in ('pre', 'code', 'script', 'style')

    def handle_data(self, data):
        if not self.off: self.text.append(data)


def broken(target, name, site, pages):
    "Whether a link leads nowhere."
    url = urlsplit(target)
    if url.scheme or url.netloc: return False
    path = unquote(url.path)
    to = ((site if path.startswith('/') else (site/name).parent)/path.lstrip('/')).resolve() if path else site/name
    if to.is_dir(): to = to/'index.html'
    if not to.exists(): return True
    plain = not url.fragment or '=' in url.fragment or to.suffix != '.html'
    return not plain and unquote(url.fragment) not in pages[to.relative_to(site.resolve()).as_posix()].ids


def test_links_lead_somewhere_pictures_have_texts_and_titles_differ(site):
    site = site.resolve()
    pages = {name: Page((site/name).read_text()) for name in pages_of(site)}
    wrong = [f'{name}: {w}' for name, page in pages.items() for w in page.wrong]
    wrong += [f'{name}: {t}' for name, page in pages.items() for t in page.targets if broken(t, name, site, pages)]
    for name, page in pages.items():
        text = ''.join(page.text)
        wrong += [f'{name}: {mark}' for mark in (':'*3, '{fig-alt', '{=', '{{' + '<') if mark in text]
        if (site/name).stat().st_size > 1_500_000: wrong.append(f'{name} is too large')
    assert not wrong
    titles = [page.title for page in pages.values()]
    assert sorted(titles) == sorted(set(titles))


def test_the_workflow_is_one_that_github_reads():
    flow = yaml.safe_load((ROOT/'.github'/'workflows'/'site.yml').read_text())
    assert set(flow) == {'name', True, 'permissions', 'concurrency', 'jobs'}          # YAML reads `on` as true


# In a browser

class Quiet(http.server.SimpleHTTPRequestHandler):
    "A server that says nothing."
    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def address(site):
    "The site, served."
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}'
    server.shutdown()


@pytest.fixture(scope='module')
def browser():
    if not CHROMIUM: pytest.skip('no chromium is installed')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        options = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
        b = p.chromium.launch(executable_path=CHROMIUM, args=options)
        yield b
        b.close()


STATE = """() => {
    const scrolls = '.scroll, .tiles, pre, .cell-output-display, .cell-output, .sourceCode, math, details, .sd-table, '
        + 'section > table';
    const wide = e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(scrolls);
    const outside = t => {
        const svg = t.ownerSVGElement.getBoundingClientRect(), r = t.getBoundingClientRect();
        return r.width && (r.left < svg.left - 2 || r.right > svg.right + 2
                           || r.bottom > svg.bottom + 2 || r.top < svg.top - 2);
    };
    return {
        broken: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
        over: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
        widest: [...document.querySelectorAll('main *')].filter(wide).slice(0, 3).map(e => e.outerHTML.slice(0, 120)),
        outside: [...document.querySelectorAll('main svg text')].filter(outside).slice(0, 3).map(t => t.textContent),
        titles: document.querySelectorAll('h1').length,
    };
}"""
FINE = dict(broken=[], over=0, widest=[], outside=[], titles=1)
SHOTS = ('index', 'experiments/findings', 'experiments/index', 'experiments/e5.4', 'experiments/records',
         'library/00_method', 'runs/best-seed42')


@pytest.mark.chromium
@pytest.mark.parametrize('theme', ['light', 'dark'])
@pytest.mark.parametrize('width', [400, 1400])
def test_every_page_in_a_browser(site, address, browser, width, theme):
    context = browser.new_context(viewport=dict(width=width, height=900), color_scheme=theme)
    page, said, shots = context.new_page(), [], os.environ.get('SITE_SCREENSHOTS')
    page.on('console', lambda m: said.append(f'{page.url}: {m.text}') if m.type in ('error', 'warning') else None)
    page.on('pageerror', lambda e: said.append(f'{page.url}: {e}'))
    page.on('request', lambda r: None if r.url.startswith((address, 'data:')) else said.append(f'{page.url}: {r.url}'))
    for path in pages_of(site):
        if width == 1400 and '/api/' in path: continue
        page.goto(f'{address}/{path}', wait_until='load')
        assert page.evaluate(STATE) == FINE, path
        name = path.removesuffix('.html')
        if not shots or name not in SHOTS: continue
        Path(shots).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(shots)/f"{name.replace('/', '-')}-{width}-{theme}.png", full_page=True)
    assert not said, said
    color = page.evaluate('() => getComputedStyle(document.body).backgroundColor')
    assert (sum(map(int, re.findall(r'\d+', color)[:3])) < 380) == (theme == 'dark')
    context.close()


CONTRAST = """() => {
    const rgb = s => s.match(/[\\d.]+/g).map(Number);
    const linear = v => (v /= 255) <= .03928 ? v/12.92 : ((v + .055)/1.055)**2.4;
    const light = c => { const [r, g, b] = c.slice(0, 3).map(linear); return .2126*r + .7152*g + .0722*b; };
    const under = e => {
        for (; e; e = e.parentElement) {
            const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] > .9) return c;
        }
        return [255, 255, 255];
    };
    const texts = 'p, li, td, th, h1, h2, h3, a, figcaption, code span'.split(', ').map(t => 'main ' + t);
    const poor = [];
    for (const e of document.querySelectorAll([...texts, '.navbar a', '.margin-sidebar a', 'footer p'].join(', '))) {
        const written = [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
        if (!written || !e.offsetParent || e.closest('svg') || e.classList.contains('visually-hidden')) continue;
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(under(e))];
        const ratio = (Math.max(a, b) + .05)/(Math.min(a, b) + .05);
        if (ratio < 4.5) poor.push(`${ratio.toFixed(1)} ${e.outerHTML.slice(0, 90)}`);
    }
    return poor.slice(0, 5);
}"""


@pytest.mark.chromium
@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_text_has_contrast(address, browser, theme):
    page = browser.new_page(color_scheme=theme, viewport=dict(width=1400, height=900))
    for path in ('index', 'experiments/index', 'experiments/e5.4', 'experiments/records', 'library/model/23_score'):
        page.goto(f'{address}/{path}.html', wait_until='load')
        assert page.evaluate(CONTRAST) == [], path
    page.close()


@pytest.mark.chromium
@pytest.mark.parametrize('width', [400, 1400])
def test_the_leaderboard_filters_sorts_and_leads_on(address, browser, width):
    page = browser.new_page(viewport=dict(width=width, height=900))
    page.goto(f'{address}/experiments/records.html', wait_until='load')
    def rows(): return [r.inner_text() for r in page.query_selector_all('#leaderboard tbody tr') if r.is_visible()]
    assert len(rows()) == 2*len(FIGURES)
    page.locator('.filters input').fill('memory')
    assert len(rows()) == 2 and all('memory bank' in r for r in rows())
    page.locator('.filters input').fill('')
    page.locator('.filters select').first.select_option('planted bottle')
    assert len(rows()) == len(FIGURES) and all('planted bottle' in r for r in rows())
    page.locator('#leaderboard th button', has_text='PRO').click()
    assert 'our best' in rows()[0]
    page.locator('#leaderboard th button', has_text='PRO').click()
    assert 'our default' in rows()[0]
    box = page.locator('#leaderboard tbody td').first.bounding_box()
    assert box['x'] >= 0 and box['x'] + box['width'] <= width                # the data is on the screen
    page.locator('#leaderboard a', has_text='last configuration').first.click()
    page.wait_for_load_state()
    assert page.url.endswith('/experiments/e5.4.html') and 'last configuration' in page.locator('h1').inner_text()
    page.close()


@pytest.mark.chromium
def test_the_conclusion_is_within_the_first_screen(address, browser):
    page = browser.new_page(viewport=dict(width=1400, height=900))
    page.goto(f'{address}/experiments/e5.4.html', wait_until='load')
    assert page.locator('.verdict').first.bounding_box()['y'] < 500
    assert page.locator('figure.plot').first.bounding_box()['y'] < 800
    page.close()


@pytest.mark.chromium
@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_the_findings_are_on_one_screen(address, browser, theme):
    page = browser.new_page(viewport=dict(width=1400, height=900), color_scheme=theme)
    page.goto(f'{address}/experiments/findings.html', wait_until='load')
    assert page.locator('p.finding').count() == 5 and page.locator('p.finding + figure svg').count() >= 3
    leading_on = page.locator('section:has(.finding) h2 a').filter(has_text=re.compile('[a-z]'))
    assert leading_on.count() == 5
    assert page.locator('#appendix').bounding_box()['y'] <= 900
    folds = page.locator('#appendix details')
    assert folds.count() == 5 and not any(folds.nth(k).get_attribute('open') for k in range(5))
    page.close()


@pytest.mark.chromium
@pytest.mark.parametrize('width', [400, 1400])
def test_cases_are_tiles_that_a_slider_fades(address, browser, width):
    page = browser.new_page(viewport=dict(width=width, height=900))
    page.goto(f'{address}/experiments/e5.4.html', wait_until='load')
    tiles = page.locator('.cases .tiles').last.locator('figure > div')
    edge = page.locator('.cases').bounding_box()
    boxes = [t.bounding_box() for t in tiles.all()]
    ends = [box['x'] + box['width'] for box in boxes]
    assert width < 768 or max(ends) <= edge['x'] + edge['width'] + 1                      # no tile is cut off
    tiles.last.scroll_into_view_if_needed()
    page.wait_for_function('() => [...document.querySelectorAll(".cases img")].at(-1).naturalWidth')
    assert page.locator('.cases h3').all_inner_texts() == ['good', 'cut', 'poke'] and tiles.count() == 6
    box, sheet = tiles.last.bounding_box(), tiles.last.locator('img').bounding_box()
    assert box['width'] >= 160 and box['height'] == pytest.approx(box['width'])
    assert sheet['width'] == pytest.approx(3*box['width']) and sheet['height'] == pytest.approx(4*box['height'])
    cut = [(box[k] - sheet[k])/box['width'] for k in 'xy']
    assert cut == pytest.approx([2, 3], abs=.01)                       # the third type's logical branch
    page.locator('.cases input').fill('0.25')
    assert tiles.last.locator('img').evaluate('i => getComputedStyle(i).opacity') == '0.25'
    page.close()


@pytest.mark.chromium
def test_a_linked_mark_has_the_color_of_text(address, browser):
    page = browser.new_page(viewport=dict(width=1400, height=900))
    page.goto(f'{address}/experiments/index.html', wait_until='load')
    color = 'e => getComputedStyle(e).color'
    assert page.locator('figure.plot svg a').first.evaluate(color) == page.locator('main p').first.evaluate(color)
    page.close()


@pytest.mark.chromium
def test_search_finds_prose_and_not_the_sites_source(address, browser):
    page = browser.new_page(viewport=dict(width=1400, height=900))
    page.goto(f'{address}/index.html', wait_until='load')
    page.locator('input[aria-label*="earch" i], input[type=search]').first.fill('Kronecker')
    page.wait_for_selector('.search-result, .aa-Item', timeout=5000)
    found = page.evaluate('async () => (await (await fetch("search.json")).json()).map(e => e.href)')
    assert found and not [h for h in found if h.startswith(('library/report/', 'library/bench/'))]
    page.close()


@pytest.mark.chromium
def test_the_theme_toggles(address, browser):
    page = browser.new_page(viewport=dict(width=1400, height=900))
    page.goto(f'{address}/index.html', wait_until='load')
    def color(): return page.evaluate('() => getComputedStyle(document.body).backgroundColor')
    before = color()
    page.locator('.quarto-color-scheme-toggle').first.click()
    page.wait_for_timeout(300)
    assert color() != before
    page.close()
