"""Whatever a folder holds, `data check`, a run's reading and `predict` end with a result or one sentence.

Every file is used or listed. MUDENET_EXAMPLES=5000 tries more than 300 examples, MUDENET_EXAMPLES_FROM=7 others."""
import contextlib, json, os, shutil, tempfile
from pathlib import Path
import numpy as np, pytest
from hand_made import red_file
from hypothesis import HealthCheck, example, given, seed, settings, strategies as st
from layouts import make_folder, make_good_only, make_mvtec_ad, make_mvtec_loco, make_visa, mask
from mudenet.core.errors import UserError, shown
from mudenet.data.dataset import load_dataset
from mudenet.data.sources import checked_source, recognize
from mudenet.data.validate import check_dataset
from mudenet.deploy import predict as prediction
from mudenet.deploy.scorer import Scorer
from PIL import Image

EXAMPLES, FROM = int(os.environ.get('MUDENET_EXAMPLES', 300)), int(os.environ.get('MUDENET_EXAMPLES_FROM', 0))
NOBODY = 65534


# Folders, and what happens to them

def make_with_masks(root):
    make_folder(root)
    for i in range(2): mask(root/'nuts'/'masks'/f'{i:03}.png')


LAYOUTS = dict(mvtec_ad=make_mvtec_ad, mvtec_loco=make_mvtec_loco, visa=make_visa, folder=make_folder,
               masks=make_with_masks, good=make_good_only)
NAMES = ['x.png', 'GOOD', 'good', 'masks', 'train', 'test', 'Data', 'ground_truth', 'a b.png', 'größe.png',
         '.hidden.png',
         '@eaDir', '#1.png', '$x.png', '~$x.png', 'Thumbs.db', '__MACOSX', 'n' * 250 + '.png', 'n' * 200,
         'two\nlines.png',
         'a,b.png', '"q".png', '%s{}.png', '-rf.png', '000_mask.png', '000_MASK.PNG', '000.jpg.png', 'x.heic', 'x.txt',
         'x.webp', 'x.gif', 'noending', 'x.tiff', '*.png', 'x.png.aside1', b'gut_\xfc.png', b'\xff', 'bell\a.png',
         'narrow\u202fspace.png', 'line\u2028break.png', 'x.7z', 'x.zip', 'scores.csv', 'defects_config.json']
MODES = [('1', 'png'), ('L', 'png'), ('LA', 'png'), ('P', 'png'), ('P', 'gif'), ('RGBA', 'png'), ('RGB', 'jpg'),
         ('CMYK', 'jpg'), ('I;16', 'png'), ('I', 'tiff'), ('F', 'tiff'), ('L', 'webp'), ('LAB', 'tiff'),
         ('YCbCr', 'tiff'),
         ('L', 'pgm'), ('RGB', 'tga'), ('RGB', 'jp2')]
SIZES = [(1, 1), (9, 7), (40, 48), (300, 2), (0, 0)]


def new_name(path, j):
    name = NAMES[j % len(NAMES)]
    target = Path(os.fsdecode(os.path.join(os.fsencode(path.parent), os.fsencode(name))))
    return None if os.path.lexists(target) else target


def remove(path):
    if path.is_dir() and not path.is_symlink(): shutil.rmtree(path)
    else: path.unlink()


def rename(path, j):
    if target := new_name(path, j): path.rename(target)


def copy(path, j):
    if not (target := new_name(path, j)): return
    if path.is_dir(): shutil.copytree(path, target, symlinks=True)
    elif path.is_file(): shutil.copy(path, target)


def change_case(path, j):
    name = [path.name.upper(), path.name.lower(), path.name.title()][j % 3]
    if not os.path.lexists(path.with_name(name)): path.rename(path.with_name(name))


def change_ending(path, j):
    target = path.with_suffix(['.PNG', '.jpg', '.webp', '.heic', '', '.txt', '.tif', '.gif', '.csv', '.h5'][j % 10])
    if not os.path.lexists(target): path.rename(target)


def cut(path, j):
    if path.is_file(): path.write_bytes(path.read_bytes()[:[0, 1, 8, 40, 100, 200][j % 6]])


def garble(path, j):
    if not path.is_file(): return
    data = bytearray(path.read_bytes())
    for k in range(j % 5 + 1):
        if data: data[(j*7919 + k*104729) % len(data)] ^= 1 + j % 255
    path.write_bytes(data)


def rewrite(path, j):
    text = ['', '{}', '[]', '5', 'nul\0l', '\ufeff' + 'a,b\n', 'ä', '[' * 5000, 'object,split,label,image,mask\n', '"',
            ',,,,,,\n']
    if path.is_file(): path.write_bytes(text[j % len(text)].encode(['utf-8', 'latin-1', 'utf-16'][j % 3], 'replace'))


def forbid(path, j): path.chmod([0, 0o111, 0o444][j % 3])


def link(path, j):
    aim = ['/nowhere', path.name, '..', '.', str(path.parent), '/dev/null', str(path.parent.parent), '/etc',
           path.with_name('good')][j % 9]
    remove(path)
    path.symlink_to(aim)


def stray(path, j):
    if not (target := new_name(path, j)): return
    if j % 4 == 0: os.mkfifo(target)
    elif j % 4 == 1: target.symlink_to(path.parent)
    elif j % 4 == 2: target.mkdir()
    else: target.write_text('stray')


def deeper(path, j):
    new = path.with_name(['line1', 'good', 'masks', '.git'][j % 4])
    if os.path.lexists(new): return
    new.mkdir()
    path.rename(new/path.name)


def higher(path, j):
    if not os.path.lexists(path.parent.parent/path.name): path.rename(path.parent.parent/path.name)


def redraw(path, j):
    "A picture or mask of another kind, size or value, under the same name."
    if not path.is_file(): return
    (kind, form), (w, h) = MODES[j % len(MODES)], SIZES[j // len(MODES) % len(SIZES)]
    values = np.random.default_rng(j).integers(0, [2, 3, 256][j % 3], (h, w), dtype=np.uint8)
    if kind == 'I;16': im = Image.fromarray(values.astype(np.uint16)*[1, 16, 257][j % 3])
    elif kind in ('LAB', 'YCbCr', 'CMYK'):
        im = Image.fromarray(np.stack([values]*3, -1))
        if kind == 'YCbCr': im = im.convert(kind)
    else: im = Image.fromarray(values).convert(kind)
    if kind in ('LAB', 'CMYK'): im = Image.merge(kind, im.split() + im.split()[:kind == 'CMYK'])
    exif = Image.Exif()
    exif[0x0112] = j % 11
    with contextlib.suppress(Exception):         # not every format takes every picture
        im.save(path, 'JPEG2000' if form == 'jp2' else {'jpg': 'JPEG', 'pgm': 'PPM'}.get(form, form.upper()),
                **(dict(exif=exif) if form in ('jpg', 'png', 'webp', 'tiff') else {}))


def animate(path, j):
    frames = [Image.new('L', (4, 4), 9*i) for i in range(3)]
    if path.is_file(): frames[0].save(path, ['GIF', 'TIFF', 'WEBP', 'PNG'][j % 4], save_all=True,
                                      append_images=frames[1:])


def swap(path, j):
    others = sorted(p for p in path.parent.iterdir() if p != path)
    if not others: return
    other, aside = others[j % len(others)], path.with_name('aside')
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


def delete(path, j): remove(path)


def to_file(path, j):
    remove(path)
    path.write_text('file')


def to_folder(path, j):
    remove(path)
    path.mkdir()


MUTATIONS = {f.__name__: f for f in (rename, copy, change_case, change_ending, cut, garble, rewrite, forbid, link,
                                     stray, deeper,
                                     higher, redraw, animate, swap, delete, to_file, to_folder)}


def mutate(root, kind, i, j):
    "Do something to one of the files and folders below a folder; what the file system refuses is left."
    paths = []
    for here, folders, files in os.walk(root): paths += [Path(here)/name for name in (*folders, *files)]
    if paths:
        with contextlib.suppress(OSError): MUTATIONS[kind](sorted(paths)[i % len(paths)], j)


# What must hold

def is_sentence(error):
    text = str(error)
    return text == shown(text) and text.strip() and text.encode()


def entries(folder, followed):
    "Every path below a folder that is no folder, links to folders among them unless they are followed."
    try: names = os.listdir(folder)
    except OSError: return {folder}
    out = set()
    for path in (folder/name for name in names):
        inside = os.path.isdir(path) and (not os.path.islink(path) or path in followed)
        out |= entries(path, followed) if inside else {path}
    return out


def check(root):
    "Check a data set; every file is used or listed, once."
    try: rows = check_dataset(root)
    except UserError as e: return is_sentence(e)
    json.dumps(rows).encode()
    for line in [text for row in rows for text in (*row['faults'], *row['warnings'])]: assert is_sentence(line), line
    used = set()
    for source, row in zip(recognize(root), rows):
        try: files = source.files()
        except UserError: continue
        used |= files.used
        counts = [row[name] for name in ('train', 'validation', 'good', 'defective')]
        assert sum(counts) + (row['masks'] or 0) + len(row['tables']) == len(files.used)
    listed = [f['path'] for row in rows for f in row['left_out']]
    assert len(listed) == len(set(listed)) and not {shown(p) for p in used} & set(listed)
    empty = [fault for row in rows if not row['train'] for fault in row['faults']]
    if any('cannot be read' in fault for fault in empty): return
    homes = {s.root/s.category for s in recognize(root)}
    there = entries(root, homes | {p for path in used for p in path.parents})
    closed = {p for p in there if os.path.isdir(p) and not os.path.islink(p)}     # nobody can list what is used below
    seen = {p for p in used if os.path.lexists(p) and not closed & {*p.parents}}
    assert {shown(p) for p in there} == {shown(p) for p in seen} | set(listed)


def read(root):
    "Read each category as a run does."
    try: names = [s.category for s in recognize(root)]
    except UserError: return
    for name in names:
        try: ds = load_dataset(checked_source(root, name), 16)
        except UserError as e: assert is_sentence(e)
        else: assert len(ds.train) and len(ds.test) and ds.fingerprint()


def score(file, root, out, heatmaps):
    "Score what is there; every file is scored or listed."
    try: found = prediction.predict(file, root, out, heatmaps=heatmaps)
    except UserError as e: return is_sentence(e)
    assert found['images'] + len(found['skipped']) == len(entries(root, ()))
    assert prediction.describe_prediction(found, out).encode()


@contextlib.contextmanager
def without_privileges():
    "As a user who may not read everything, where the tests run as root."
    if os.geteuid(): yield
    else:
        os.seteuid(NOBODY)
        try: yield
        finally: os.seteuid(0)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "Each layout once, and a deployed file."
    folder = tmp_path_factory.mktemp('layouts')
    for name, make in LAYOUTS.items(): make(folder/name)
    red_file(folder/'red.onnx')
    return folder


@pytest.fixture
def scorer(made, monkeypatch):
    opened = Scorer(made/'red.onnx', 1)
    monkeypatch.setattr(prediction, 'open_scorer', lambda _: opened)
    return made/'red.onnx'


MUTATION = st.tuples(st.sampled_from(sorted(MUTATIONS)), st.integers(0, 60), st.integers(0, 300))


# What earlier examples found.
@example(layout='masks', mutations=[('copy', 1, 0)])                            # a mask of two pictures counted twice
@example(layout='mvtec_ad', mutations=[('forbid', 0, 1)])                       # a category that nobody may list
@example(layout='folder', mutations=[('forbid', 1, 0)])                         # a kind of defects that nobody may list
@example(layout='folder', mutations=[('rename', 0, 49), ('stray', 0, 1)])     # a category that links to all
@seed(FROM)
@settings(max_examples=EXAMPLES, deadline=None, database=None, print_blob=False,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(layout=st.sampled_from(sorted(LAYOUTS)), mutations=st.lists(MUTATION, min_size=1, max_size=3))
def test_any_folder_is_accounted_for(made, scorer, layout, mutations):
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = folder/layout
    shutil.copytree(made/layout, root)
    (folder/'out').mkdir()
    (folder/'out').chmod(0o777)
    for mutation in mutations: mutate(root, *mutation)
    try:
        forbidden = any(kind == 'forbid' for kind, *_ in mutations)
        with without_privileges() if forbidden else contextlib.nullcontext(), contextlib.redirect_stdout(None):
            check(root)
            read(root)
            score(scorer, root, folder/'out', 'anomalous' if len(mutations) == 1 else 'none')
    finally:
        for here, folders, _ in os.walk(folder):
            for path in [Path(here)/name for name in folders]:
                if not path.is_symlink(): path.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
