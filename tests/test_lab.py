"The notebooks in a real JupyterLab: a run, its errors, an interrupt; and a checkout that stays as it was."
import contextlib, json, os, re, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path
import pytest
from conftest import ROOT

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
IGNORED = ('__pycache__', '.ipynb_checkpoints', '.last_checked', 'runs')      # by git too
SETTINGS = {'notebook-extension/tracker': {'windowingMode': 'none'},          # all cells are in the page
            'apputils-extension/notification': {'fetchNews': 'false', 'checkForUpdates': False}}
EPOCHS = 30
pytestmark = pytest.mark.chromium


def with_parameters(**values):
    "The run's notebook with other defaults."
    text = (ROOT/'experiments'/'run.ipynb').read_text()
    for name, value in values.items():
        text, n = re.subn(rf'"{name} = [^#]*(#|\\n)', lambda m, n=name, v=value: f'"{n} = {v!r} {m[1]}', text, count=1)
        assert n == 1, name
    return text


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    "A copy of what JupyterLab opens, with a run that is short, one that is wrong, and one to interrupt."
    folder = tmp_path_factory.mktemp('checkout')
    ignore = shutil.ignore_patterns(*IGNORED, 'results', 'executed')
    for name in ('nbs', 'mudenet', 'experiments'): shutil.copytree(ROOT/name, folder/name, ignore=ignore)
    for name in ('settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, folder)
    for name, values in dict(run={}, wrong=dict(budget='smoek'), long=dict(overrides={'train.epochs': EPOCHS})).items():
        (folder/'experiments'/f'{name}.ipynb').write_text(with_parameters(**dict(budget='smoke') | values))
    return folder


def contents(folder):
    "Every file that git would look at."
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*'))
            if p.is_file() and not set(IGNORED) & set(p.relative_to(folder).parts)}


def answers(address):
    with contextlib.suppress(OSError): return urllib.request.urlopen(f'{address}/api/status?token=lab').status == 200


@pytest.fixture(scope='module')
def address(checkout, tmp_path_factory):
    "JupyterLab, as `make lab` starts it, with nothing of the user's."
    pytest.importorskip('jupyterlab', reason='no JupyterLab is installed')
    own = tmp_path_factory.mktemp('jupyter')
    for name, values in SETTINGS.items():
        path = own/'settings'/'@jupyterlab'/f'{name}.jupyterlab-settings'
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    places = dict(JUPYTER_CONFIG_DIR='config', JUPYTER_DATA_DIR='data', JUPYTER_RUNTIME_DIR='runtime',
                  JUPYTERLAB_SETTINGS_DIR='settings', JUPYTERLAB_WORKSPACES_DIR='workspaces', IPYTHONDIR='ipython')
    env = os.environ | {name: str(own/path) for name, path in places.items()}
    env |= dict(JUPYTER_CONFIG_PATH=str(checkout/'nbs'/'.jupyter'), PYTHONPATH=str(checkout), OMP_NUM_THREADS='1')
    command = [sys.executable, '-m', 'jupyter', 'lab', '--no-browser', '--allow-root', '--expose-app-in-browser',
               '--IdentityProvider.token=lab', f'--port={port}', '--ServerApp.port_retries=0']
    with open(own/'log', 'w') as log:
        server = subprocess.Popen(command, cwd=checkout, env=env, stdout=log, stderr=log)
    where, deadline = f'http://127.0.0.1:{port}', time.time() + 60
    while not answers(where) and time.time() < deadline and server.poll() is None: time.sleep(.2)
    assert answers(where), (own/'log').read_text()
    yield where
    server.terminate()
    server.wait(30)


class Lab:
    "A page with JupyterLab: commands to it, and what its open notebook shows."
    def __init__(self, page): self.page = page

    def command(self, name, **options):
        return self.page.evaluate('async ([n, o]) => { await jupyterapp.commands.execute(n, o) }', [name, options])

    def open(self, path):
        self.command('docmanager:open', path=path)
        self.page.evaluate("""async () => {
            const { context, sessionContext } = jupyterapp.shell.currentWidget;
            await context.ready;
            await sessionContext.ready;
        }""")

    def run_all(self): self.command('notebook:run-all-cells')

    def start(self): self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")

    def outputs(self):
        notebook = self.page.evaluate('() => jupyterapp.shell.currentWidget.content.model.toJSON()')
        return [o for c in notebook['cells'] for o in c.get('outputs', [])]

    def errors(self): return [o for o in self.outputs() if o['output_type'] == 'error']

    def pictures(self): return sum(bool({'image/png', 'image/jpeg'} & o.get('data', {}).keys()) for o in self.outputs())

    def bar(self): return self.page.evaluate("() => document.querySelector('.jupyter-widgets')?.innerText || ''")

    def wait_for(self, found, seconds=90):
        deadline = time.time() + seconds
        while not (value := found()): assert time.time() < deadline or self.page.wait_for_timeout(100)
        return value

    def shoot(self, name):
        "Keep a picture of the notebook where LAB_SCREENSHOTS names a folder."
        if folder := os.environ.get('LAB_SCREENSHOTS'): self.page.screenshot(path=Path(folder)/f'{name}.png')


@pytest.fixture(scope='module')
def lab(address):
    if not CHROMIUM: pytest.skip('no chromium is installed')
    from playwright.sync_api import sync_playwright
    options = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page(viewport=dict(width=1300, height=int(os.environ.get('LAB_HEIGHT', 900))))
        page.set_default_timeout(120_000)
        page.goto(f'{address}/lab?token=lab')
        page.wait_for_function('() => window.jupyterapp?.restored')
        yield Lab(page)
        browser.close()


@pytest.fixture(autouse=True)
def unchanged(checkout):
    "Whatever a test does in JupyterLab, git has nothing to show afterwards."
    before = contents(checkout)
    yield
    after = contents(checkout)
    assert not {name for name in before | after if before.get(name) != after.get(name)}


def test_a_run_shows_its_pictures_and_is_saved_clean(lab, checkout):
    lab.open('experiments/run.ipynb')
    lab.run_all()
    assert not lab.errors() and lab.pictures() == 6
    assert len(list((checkout/'runs').glob('retained/*/seed42/record.json'))) == 1
    lab.shoot('run')
    lab.command('docmanager:save')
    assert lab.pictures() == 6                     # they stay in the page


def test_a_wrong_parameter_is_one_sentence(lab):
    lab.open('experiments/wrong.ipynb')
    lab.run_all()
    [error] = lab.errors()
    assert error['traceback'] == ["UserError: Budget 'smoek' does not exist; did you mean 'smoke'?"]
    lab.shoot('wrong')
    lab.command('docmanager:save')


def test_an_interrupt_says_where_it_stopped_and_the_next_run_goes_on(lab, checkout):
    lab.open('experiments/long.ipynb')
    lab.start()
    epoch = re.compile(rf'train:\sepoch\s(\d+)\sof\s{EPOCHS},\sloss\s\S+\s\S+\sleft')
    first = lab.wait_for(lambda: epoch.search(lab.bar()))
    second = lab.wait_for(lambda: (m := epoch.search(lab.bar())) and m[0] != first[0] and m, 20)    # it moves
    lab.shoot('bar')
    lab.command('notebook:interrupt-kernel')
    [error] = lab.wait_for(lab.errors)
    said = rf'Interrupted: train: interrupted at epoch (\d+) of {EPOCHS}; the same command goes on\.'
    stopped = re.fullmatch(said, '\n'.join(error['traceback']))
    assert stopped and int(stopped[1]) >= int(second[1])
    lab.shoot('interrupted')
    lab.command('docmanager:save')
    lab.run_all()
    assert not lab.errors() and lab.pictures() == 6
    assert len(list((checkout/'runs').glob('retained+*/*/seed42/record.json'))) == 1
    lab.command('docmanager:save')


@pytest.mark.parametrize('lesson', ['core/08_progress', 'core/09_figures'])
def test_a_lesson_that_runs_is_saved_as_it_was(lesson, lab):
    lab.open(f'nbs/{lesson}.ipynb')
    lab.run_all()
    assert not lab.errors()
    lab.shoot(lesson.replace('/', '-'))
    lab.command('docmanager:save')
