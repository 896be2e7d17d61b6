"The house's rules: rooms and numbers, imports that run downwards, sizes, and how code is written."
import ast, json, re, shutil, subprocess, sys, zipfile
from pathlib import Path
import pytest
from conftest import NOTEBOOKS, ROOT

# First and last number of a room's notebooks. Rooms stand in the order of imports.
ROOMS = {
    'core': (1, 9), 'data': (10, 19), 'model': (20, 29), 'training': (30, 39), 'metrics': (40, 49),
    'study': (50, 60), 'deploy': (61, 66), 'report': (67, 79), 'bench': (80, 89), 'command': (90, 91),
}
COMMAND = 92                                   # __main__, above all rooms
ABOVE_ALL = 99                                 # index and 00_method show what the whole package does
TABLES = {'mudenet._modidx'}                   # modules of data, of any length
MODULE_LINES, FUNCTION_LINES, LINE_LENGTH = 250, 40, 140

MODULES = sorted((ROOT/'mudenet').rglob('*.py'))
HAND_WRITTEN = [*NOTEBOOKS, *sorted((ROOT/'experiments').glob('*.ipynb')), *sorted((ROOT/'tests').rglob('*.py'))]


def place(path): return str(path.relative_to(ROOT))


def code_cells(notebook):
    "The sources of a notebook's code cells, without magics."
    cells = [c for c in json.loads(notebook.read_text())['cells'] if c['cell_type'] == 'code']
    return [re.sub(r'^[%!].*', '', ''.join(c['source']), flags=re.M) for c in cells]


def trees(path):
    "The syntax of a module, or of each code cell of a notebook."
    sources = code_cells(path) if path.suffix == '.ipynb' else [path.read_text()]
    return [ast.parse(source) for source in sources]


def number_of(notebook):
    "A notebook's place in the reading order."
    if notebook.stem in ('index', '00_method'): return ABOVE_ALL
    return int(notebook.stem[:2])


def exported_module(notebook):
    "The module that a notebook exports to, or None."
    found = re.search(r'^#\| *default_exp +(\S+)', '\n'.join(code_cells(notebook)), re.M)
    return f'mudenet.{found[1]}'.removesuffix('.__init__') if found else None


def module_name(path):
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


NUMBERS = {exported_module(n): number_of(n) for n in NOTEBOOKS if exported_module(n)}
NUMBERED = [path for path in MODULES if module_name(path) in NUMBERS]


def absolute(node, path):
    "The module that `from … import` names in a file, relative or not."
    if not node.level: return node.module or ''
    package = path.relative_to(ROOT).with_suffix('').parts[:-node.level]
    return '.'.join([*package, *([node.module] if node.module else [])])


def imported_modules(tree, path):
    "Names of the package's modules that a file imports, in functions too."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): yield from (a.name for a in node.names if a.name in NUMBERS)
        if not isinstance(node, ast.ImportFrom): continue
        base = absolute(node, path)
        submodules = {f'{base}.{a.name}' for a in node.names} & NUMBERS.keys()
        if submodules: yield from sorted(submodules)
        elif base in NUMBERS: yield base


# Rooms and numbers

def test_numbers_are_unique_and_in_their_room():
    numbered = [n for n in NOTEBOOKS if n.stem != 'index']
    numbers = [n.stem[:2] for n in numbered]
    assert len(set(numbers)) == len(numbers), sorted(n for n in numbers if numbers.count(n) > 1)
    for notebook in numbered:
        room, number = notebook.parent.name, int(notebook.stem[:2])
        first, last = ROOMS.get(room, (0, 0)) if number != COMMAND else (COMMAND, COMMAND)
        assert first <= number <= last, place(notebook)


@pytest.mark.parametrize('notebook', [n for n in NOTEBOOKS if exported_module(n)], ids=lambda n: n.stem)
def test_a_module_is_named_as_its_notebook(notebook):
    room, name = notebook.parent.name, notebook.stem[3:]
    special = {'46_metrics': 'mudenet.metrics', '92_command': 'mudenet.__main__'}
    assert exported_module(notebook) == special.get(notebook.stem, f'mudenet.{room}.{name}')


def test_a_module_has_a_notebook():
    made = {'mudenet', 'mudenet._modidx', *(f'mudenet.{room}' for room in ROOMS)}       # by nbdev
    assert {module_name(path) for path in MODULES} - made <= NUMBERS.keys()


@pytest.mark.parametrize('path', NUMBERED, ids=module_name)
def test_imports_run_downwards(path):
    own = NUMBERS[module_name(path)]
    upwards = [name for name in imported_modules(ast.parse(path.read_text()), path) if NUMBERS[name] >= own]
    assert not upwards


@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda n: n.stem)
def test_a_lesson_uses_only_what_stands_before_it(notebook):
    own, later = exported_module(notebook), set()
    for tree in trees(notebook):
        names = set(imported_modules(tree, notebook))
        later |= {name for name in names if name != own and NUMBERS[name] >= number_of(notebook)}
    assert not later


# Sizes

@pytest.mark.parametrize('path', MODULES, ids=module_name)
def test_modules_fit_a_sitting(path):
    if module_name(path) in TABLES: return
    assert sum(not line.startswith('# %%') for line in path.read_text().splitlines()) <= MODULE_LINES   # nbdev's marks


@pytest.mark.parametrize('path', MODULES, ids=module_name)
def test_functions_fit_a_screen(path):
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    sizes = {f.name: f.end_lineno - f.lineno + 1 for f in functions}
    assert not {name: size for name, size in sizes.items() if size > FUNCTION_LINES}


@pytest.mark.parametrize('path', MODULES, ids=module_name)
def test_lines_fit_the_page(path):
    if module_name(path) in TABLES: return
    lines = [line for line in path.read_text().splitlines() if not line.startswith('__all__')]
    assert not [line for line in lines if len(line) > LINE_LENGTH]


# How code is written

def test_ruff_finds_nothing():
    "Long lines, several statements on one, named lambdas, unused names, roundabout code: see pyproject.toml."
    ruff = [sys.executable, '-m', 'ruff', 'check', '--quiet', '--output-format', 'concise']
    done = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def nested_comprehensions(tree):
    for outer in ast.walk(tree):
        if not isinstance(outer, COMPREHENSIONS): continue
        inner = [n for n in ast.walk(outer) if n is not outer and isinstance(n, COMPREHENSIONS)]
        if inner: yield ast.unparse(outer)


@pytest.mark.parametrize('path', HAND_WRITTEN, ids=place)
def test_no_comprehension_holds_another(path):
    found = []
    for tree in trees(path): found += nested_comprehensions(tree)
    assert not found


def is_private(name): return name.startswith('_') and not name.startswith('__')


def is_foreign(module):
    "Whether a module is another project's: not this package, its tests' helpers or the standard library."
    top = module.split('.')[0]
    return top not in {'mudenet', 'conftest', *sys.stdlib_module_names}


def foreign_private_names(found):
    "Private names of other packages that trees use: `from x import _y`, or `x._y` of an imported x."
    nodes = [node for tree in found for node in ast.walk(tree)]
    foreign, private = set(), []
    for node in nodes:
        if isinstance(node, ast.Import):
            foreign |= {a.asname or a.name.split('.')[0] for a in node.names if is_foreign(a.name)}
        if isinstance(node, ast.ImportFrom) and not node.level and is_foreign(node.module):
            foreign |= {a.asname or a.name for a in node.names}
            private += [a.name for a in node.names if is_private(a.name)]
    for node in nodes:
        if not isinstance(node, ast.Attribute) or not is_private(node.attr): continue
        root = node.value
        while isinstance(root, ast.Attribute): root = root.value
        if isinstance(root, ast.Name) and root.id in foreign: private.append(ast.unparse(node))
    return private


@pytest.mark.parametrize('path', HAND_WRITTEN, ids=place)
def test_no_private_name_of_another_package(path):
    assert not foreign_private_names(trees(path))


def test_the_checks_see_what_they_refuse():
    upwards = 'from ..study.run import Run\nfrom . import networks\ndef f(): import mudenet.model.score'
    found = imported_modules(ast.parse(upwards), ROOT/'mudenet'/'model'/'backbone.py')
    assert [*found] == ['mudenet.study.run', 'mudenet.model.networks', 'mudenet.model.score']
    assert [*nested_comprehensions(ast.parse('[sum(f(y) for y in x) for x in z]'))]
    private = 'import numpy as np, os\nfrom onnx import _y\nnp.core._z.w, os._exit, self._own'
    assert foreign_private_names([ast.parse(private)]) == ['_y', 'np.core._z']


# The distribution

def test_the_wheel_holds_every_module(tmp_path):
    for name in ('pyproject.toml', 'README.md', 'LICENSE'): shutil.copy(ROOT/name, tmp_path)
    shutil.copytree(ROOT/'mudenet', tmp_path/'mudenet', ignore=shutil.ignore_patterns('__pycache__'))
    pip = [sys.executable, '-m', 'pip', 'wheel', '.', '--no-deps', '--no-build-isolation', '--wheel-dir', 'wheels']
    done = subprocess.run(pip, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = Path(tmp_path/'wheels').glob('*.whl')
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith('.py')}
    assert 'mudenet/metrics/pro.py' in held
    assert held == {place(path) for path in MODULES}
