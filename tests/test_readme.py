"README fits on one screen, and names what exists."
import contextlib, json, os, pty, re, subprocess, sys
from pathlib import Path
import pytest
from conftest import NOTEBOOKS, ROOT
from layouts import picture
from mudenet.__main__ import COMMANDS

TEXT = (ROOT/'README.md').read_text()


def test_it_fits_on_a_screen(): assert len(TEXT.splitlines()) <= 60


def test_the_targets_named_exist():
    makefile = (ROOT/'Makefile').read_text()
    for target in ('run', 'test', 'study', 'lab', 'site', 'bench', 'publish'):
        assert f'make {target}' in TEXT and f'\n{target}: ' in makefile


def test_the_commands_named_exist():
    named = re.findall(r'(?:^|`|\n)mudenet ([a-z-]+)', TEXT)
    assert named and set(named) <= set(COMMANDS)


PAGES = [*(ROOT/name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'index.qmd')),
         *sorted((ROOT/'experiments').glob('*.qmd')), *sorted((ROOT/'experiments').glob('*.ipynb')),
         *NOTEBOOKS]


def page_text(path):
    "The text of a page; of a notebook, that of its cells."
    if path.suffix != '.ipynb': return path.read_text()
    return '\n\n'.join(''.join(cell['source']) for cell in json.loads(path.read_text())['cells'])


def test_every_papermill_command_names_an_output_under_runs():
    found = {}
    for path in PAGES:
        for rest in re.findall(r'papermill (experiments/[^`"\']*)', page_text(path)):
            found.setdefault(rest.split()[0], []).append((path.name, (*rest.split(), '')[1]))
    assert set(found) == {'experiments/run.ipynb', 'experiments/predict.ipynb'}
    outputs = [row for rows in found.values() for row in rows]
    assert {'README.md', 'data.qmd', 'run.ipynb', 'predict.ipynb', 'index.ipynb'} <= {name for name, _ in outputs}
    wrong = [row for row in outputs if not re.fullmatch(r'runs/\S+\.ipynb|\{out\}', row[1])]      # {out} begins so too
    assert wrong == []


# Typed in a terminal

BLOCKS = [line for block in re.findall('^```\n(.*?)^```', TEXT, re.M | re.S) for line in block.splitlines()]
TYPED = [line for line in BLOCKS if line.startswith(('papermill ', 'mudenet '))]
NAMED = re.findall(r'`(mudenet [a-z][^`]*)`', TEXT.replace('\n', ' '))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "A project's folder with what README's reader has: the notebooks, pictures of their own, new ones."
    folder = tmp_path_factory.mktemp('project')
    (folder/'experiments').symlink_to(ROOT/'experiments')
    (folder/'runs').mkdir()
    for i in range(6): picture(folder/'parts'/'good'/f'{i}.png')
    for name in ('parts/bent/0.png', 'new_pictures/0.png', 'new_pictures/1.png'): picture(folder/name)
    return folder


def type_in(folder, line):
    "Type a command in a terminal; returns its exit status and what the terminal shows."
    ours, theirs = pty.openpty()
    env = os.environ | dict(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", TERM='xterm')
    process = subprocess.Popen(['bash', '-c', line], cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs,
                               start_new_session=True)
    os.close(theirs)
    shown = b''
    with contextlib.suppress(OSError):                       # Linux says so when the last process has closed it
        while part := os.read(ours, 4096): shown += part
    os.close(ours)
    return process.wait(60), shown.decode()


@pytest.mark.slow
def test_readmes_commands_work_in_a_terminal(folder):
    assert [line.split()[0] for line in TYPED] == ['papermill', 'mudenet', 'papermill', 'mudenet']
    for line in TYPED:
        smoke = f' -p budget smoke -r runs_dir {folder}/runs' if line.startswith('papermill') else ''
        status, shown = type_in(folder, line.replace('#', f'{smoke} #') if '#' in line else line + smoke)
        assert status == 0 and 'Traceback' not in shown, (line, shown)
    assert {p.name for p in (folder/'runs').glob('*.ipynb')} == {'retained-seed42.ipynb', 'parts.ipynb'}
    assert (folder/'out'/'scores.csv').read_text().count('\n') == 3 and len([*(folder/'out').rglob('*.png')]) == 2


@pytest.mark.parametrize('line', NAMED)
def test_commands_named_in_readme_work_in_a_terminal(line, folder):
    status, shown = type_in(folder, line)
    assert status == 0 and shown.strip() and 'Traceback' not in shown


def test_papermill_in_a_terminal_wants_an_output(folder):
    "Why each command names one."
    status, shown = type_in(folder, 'papermill experiments/run.ipynb -p seed 42')
    assert status == 2 and "Missing argument 'OUTPUT_PATH'" in shown


def test_local_links_lead_somewhere():
    for target in re.findall(r'\]\(([^)]+)\)', TEXT):
        if target.startswith('http') or target.endswith('results.svg'): continue       # drawn by `make publish`
        assert (ROOT/target).exists(), target
