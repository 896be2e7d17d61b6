"Files are complete or absent, and a folder is one process's at a time."
import json, os, resource, subprocess, sys
from pathlib import Path
import pytest, torch
from mudenet.core.errors import UserError
from mudenet.core.files import (PROJECT, check_writable, link_or_copy, locked, project_path, read_json, read_tensors,
                                set_aside, write_atomic, write_json, write_tensors)


def test_the_project_is_the_folder_of_experiments(tmp_path):
    assert Path(__file__).resolve().parents[2] == PROJECT
    assert project_path('runs') == PROJECT/'runs' and project_path(tmp_path) == tmp_path
    assert project_path('~/runs') == Path.home()/'runs'


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    for content in (b'one', b'two'): write_atomic(tmp_path/'new'/'x', content)
    assert (tmp_path/'new'/'x').read_bytes() == b'two' and os.listdir(tmp_path/'new') == ['x']


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path):
    write_atomic(tmp_path/'x', b'old')
    code = f"from mudenet.core.files import *\nwrite_atomic({str(tmp_path/'x')!r}, bytes(10_000))"
    def limit(): resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    full = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, preexec_fn=limit)
    assert 'UserError' in full.stderr and 'free some space' in full.stderr
    assert (tmp_path/'x').read_bytes() == b'old' and os.listdir(tmp_path) == ['x']


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path/'file').touch()
    with pytest.raises(UserError, match='cannot be written'): write_atomic(tmp_path/'file'/'x', b'')
    with pytest.raises(UserError, match='cannot be written.*give another runs_dir'):
        check_writable(tmp_path/'file'/'runs', 1)
    with pytest.raises(UserError, match='the run needs'): check_writable(tmp_path, 2**60)


@pytest.mark.parametrize('content', ['', '{', '[1]', '"text"'])
def test_a_damaged_record_is_named(content, tmp_path):
    (tmp_path/'record.json').write_text(content)
    with pytest.raises(UserError, match='cannot be read as a record .*remove it to run again'):
        read_json(tmp_path/'record.json')


def test_a_record_comes_back_and_nan_is_refused(tmp_path):
    write_json(tmp_path/'record.json', {'pro': .5})
    assert read_json(tmp_path/'record.json') == {'pro': .5}
    with pytest.raises(ValueError): write_json(tmp_path/'record.json', {'pro': float('nan')})
    assert read_json(tmp_path/'record.json') == {'pro': .5}
    with pytest.raises(UserError, match='missing.json cannot be read'): read_json(tmp_path/'missing.json')


def test_files_that_are_set_aside_keep_apart(tmp_path, capsys):
    for text in ('one', 'two'):
        (tmp_path/'x').write_text(text)
        assert set_aside(tmp_path/'x', 'damaged') is None
    assert (tmp_path/'x.aside1').read_text() == 'one' and (tmp_path/'x.aside2').read_text() == 'two'
    assert 'cannot be used (damaged); it is set aside as x.aside2' in capsys.readouterr().out


@pytest.mark.parametrize('facts', [None, {}, {'history': [{'distill': .5}], 'seconds': 1.5}])
def test_tensors_and_facts_come_back(facts, tmp_path):
    tensors = {'a': torch.arange(6.).reshape(2, 3).T, 'b': torch.ones(2, requires_grad=True)}
    write_tensors(tmp_path/'x.safetensors', tensors, facts)
    back, found = read_tensors(tmp_path/'x.safetensors')
    assert found == (facts or {}) and set(back) == set(tensors)
    assert all((back[k] == t).all() for k, t in tensors.items())


def test_facts_lie_where_earlier_versions_wrote_them(tmp_path):
    from safetensors import safe_open
    write_tensors(tmp_path/'x.safetensors', {'a': torch.ones(1)}, {'seconds': 1.5})
    with safe_open(tmp_path/'x.safetensors', 'pt') as f: assert json.loads(f.metadata()['facts']) == {'seconds': 1.5}


def test_a_damaged_file_of_tensors_raises(tmp_path):
    write_tensors(tmp_path/'x.safetensors', {'a': torch.ones(100)})
    (tmp_path/'x.safetensors').write_bytes((tmp_path/'x.safetensors').read_bytes()[:-50])
    with pytest.raises(Exception): read_tensors(tmp_path/'x.safetensors')      # noqa: B017


def test_a_link_is_the_same_file_however_often_it_is_made(tmp_path):
    (tmp_path/'a').write_bytes(b'one')
    (tmp_path/'b').write_bytes(b'old')
    for _ in range(2): link_or_copy(tmp_path/'a', tmp_path/'b')
    assert (tmp_path/'a').samefile(tmp_path/'b') and sorted(os.listdir(tmp_path)) == ['a', 'b']


def test_a_copy_is_made_where_the_disk_has_no_links(tmp_path, monkeypatch):
    def refuse(*_): raise OSError
    monkeypatch.setattr(os, 'link', refuse)
    (tmp_path/'a').write_bytes(b'one')
    link_or_copy(tmp_path/'a', tmp_path/'b')
    assert (tmp_path/'b').read_bytes() == b'one' and not (tmp_path/'a').samefile(tmp_path/'b')


# locks

HOLD = """
import time
from pathlib import Path
from mudenet.core.files import locked
with locked(Path({!r})):
    print('held', flush=True)
    time.sleep({})
"""


def start(folder, seconds):
    code = HOLD.format(str(folder), seconds)
    return subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)


def test_the_second_process_says_that_it_waits_and_then_goes_on(tmp_path):
    first = start(tmp_path, 600)
    assert first.stdout.readline() == 'held\n'
    second = start(tmp_path, 0)
    assert second.stdout.readline() == f'Another process is at work in {tmp_path}; waiting for it.\n'
    assert second.poll() is None
    first.kill()                                    # the lock goes with the process, however that ends
    assert second.communicate(timeout=60)[0] == 'held\n' and second.returncode == 0
    first.communicate()


def test_what_a_killed_writer_left_is_removed(tmp_path):
    for name in ('.x.safetensors.abc', '.record.json.abc', 'x.safetensors'): (tmp_path/name).touch()
    with locked(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == ['.lock', 'x.safetensors']


def test_a_lock_can_be_taken_again_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path/'new'): raise KeyboardInterrupt
    with locked(tmp_path/'new'): pass
