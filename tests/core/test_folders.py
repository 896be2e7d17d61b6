"Paths and folders as users give them: one rule for paths, one for names, and every file accounted for."
import os
from pathlib import Path
import pytest
from mudenet.core import files
from mudenet.core.errors import UserError
from mudenet.core.files import (PROJECT, files_in, left_out_lines, locked, project_path, read_text, subfolders,
                                user_path,
                                walk, write_atomic)


@pytest.fixture
def places(tmp_path, monkeypatch):
    "A current folder and a project's folder."
    for name in ('here', 'project'): (tmp_path/name).mkdir()
    monkeypatch.setattr(files, 'PROJECT', tmp_path/'project')
    monkeypatch.chdir(tmp_path/'here')
    return tmp_path/'here', tmp_path/'project'


def test_a_relative_path_is_looked_for_here_and_then_in_the_project(places):
    here, project = places
    assert user_path('pics') == here/'pics'                     # in neither place: where it would be made
    (project/'pics').mkdir()
    assert user_path('pics') == project/'pics' and user_path('pics', base=here) == here/'pics'
    (here/'pics').mkdir()
    assert user_path('pics') == user_path(Path('pics')) == user_path('./pics/') == here/'pics'
    assert project_path('pics') == project/'pics' and user_path('~/pics') == Path.home()/'pics'


@pytest.mark.parametrize('text', ['', '  ', None, 'a\0b', 'a\nb', os.fsdecode(b'gut_\xfc')])
def test_a_path_that_is_none_is_refused(text):
    for rule in (user_path, project_path):
        with pytest.raises(UserError, match='^The .* (is empty|has a name)') as e: rule(text)
        assert str(e.value).encode() and '\n' not in str(e.value)


def test_a_linked_folder_keeps_the_name_that_was_written(tmp_path):
    (tmp_path/'7f3a9c').mkdir()
    (tmp_path/'bottle').symlink_to(tmp_path/'7f3a9c')
    assert user_path(tmp_path/'x'/'..'/'bottle') == tmp_path/'bottle'


@pytest.mark.parametrize('content, text', [('ä'.encode(), 'ä'), ('ä'.encode('utf-8-sig'), 'ä'), (b'', '')])
def test_text_may_begin_with_a_mark(content, text, tmp_path):
    (tmp_path/'x').write_bytes(content)
    assert read_text(tmp_path/'x') == text


def test_text_that_cannot_be_read_is_named(tmp_path):
    (tmp_path/'latin').write_bytes(b'gr\xfcn')
    with pytest.raises(UserError, match='latin cannot be read, since it is not UTF-8'): read_text(tmp_path/'latin')
    with pytest.raises(UserError, match='No such file.*give another file'): read_text(tmp_path/'none')
    with pytest.raises(UserError, match='a folder is in the way'): read_text(tmp_path)


def test_advice_of_what_is_in_the_way(tmp_path):
    (tmp_path/'file').touch()
    for wrong in (lambda: write_atomic(tmp_path/'file'/'x', b''), lambda: locked(tmp_path/'file'/'x').__enter__()):
        with pytest.raises(UserError, match='a file is in the way'): wrong()
    with pytest.raises(UserError, match='shorten it'): write_atomic(tmp_path/('n'*300), b'')


LEFT_OUT = ['.DS_Store', '@eaDir', '#recycle', '$RECYCLE.BIN', '~$list.png', '__MACOSX', 'lost+found', 'Thumbs.db',
            'THUMBS.DB',
            '__pycache__', os.fsdecode(b'gut_\xfc.png'), 'bell\a.png']


@pytest.mark.parametrize('name', LEFT_OUT)
def test_one_rule_of_names_for_files_and_folders(name, tmp_path):
    (tmp_path/'files').mkdir()
    (tmp_path/'files'/name).touch()
    (tmp_path/'folders'/name).mkdir(parents=True)
    (tmp_path/'folders'/name/'a.png').touch()
    assert files_in(tmp_path/'files') == subfolders(tmp_path/'folders') == []
    assert all(walk(tmp_path).values()) and len(walk(tmp_path)) == 2
    assert ''.join(left_out_lines(walk(tmp_path))).encode()


def test_every_file_is_found_and_links_are_followed_where_they_are_named(tmp_path):
    data, away = tmp_path/'data', tmp_path/'away'
    for path in (data/'good'/'a.png', data/'b.txt', away/'c.png', away/'deep'/'d.png'):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (data/'link').symlink_to(away)
    (data/'round').symlink_to(data)
    (data/'broken.png').symlink_to('/nowhere')
    (data/'self.png').symlink_to('self.png')
    os.mkfifo(data/'pipe.png')
    assert {p.relative_to(data).as_posix(): why for p, why in walk(data).items()} == {
        'good/a.png': '', 'b.txt': '', 'link': 'a link to a folder, not followed', 'pipe.png': 'no file',
        'round': 'a link to a folder, not followed', 'broken.png': 'a link that leads nowhere',
        'self.png': 'a link that leads nowhere'}
    followed = walk(data, {data/'link'}, {data/'good'})
    assert data/'link'/'deep'/'d.png' in followed and data/'good'/'a.png' not in followed


def test_a_long_list_is_cut_and_counted():
    assert left_out_lines({Path(str(i)): 'why' for i in range(5)}, 2) == [
        'left out: 0 (why)', 'left out: 1 (why)', 'left out: 3 more']


@pytest.mark.root
def test_a_folder_without_permission_is_listed_or_named(tmp_path):
    if os.geteuid(): pytest.skip('needs root, to become somebody else')
    for folder in (tmp_path, *tmp_path.parents):       # pytest's own folders are closed to others
        if folder.stat().st_mode & 0o005 != 0o005: folder.chmod(0o755)
    (tmp_path/'bad').mkdir(mode=0)
    os.seteuid(65534)
    try:
        assert walk(tmp_path) == {tmp_path/'bad': 'cannot be read: Permission denied'}
        with pytest.raises(UserError, match='bad cannot be read .Permission denied.; change the permission'):
            files_in(tmp_path/'bad')
    finally: os.seteuid(0)


def test_the_project_is_where_experiments_are(): assert (PROJECT/'experiments').is_dir()
