"An archive is unpacked completely or not at all, and never outside its folder."
import hashlib, io, tarfile, zipfile
from collections import namedtuple
import pytest
from layouts import make_mvtec_ad
from mudenet.core.errors import UserError
from mudenet.data.archives import unpack
from mudenet.data.validate import check_dataset


def tar(path, *members, mode='w'):
    "A tar file of (name, content), or of (name, kind) for what is no file."
    with tarfile.open(path, mode) as t:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
                info.type, info.linkname = content, '/etc/passwd'
                t.addfile(info)
            else:
                info.size = len(content)
                t.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def whole(tmp_path):
    members = ('nut/train/good/0.png', b'one'), ('nut/empty', tarfile.DIRTYPE), ('nut/readme.txt', b'two')
    return tar(tmp_path/'whole.tar.xz', *members, mode='w:xz')


def folders(tmp_path): return sorted(p.name for p in tmp_path.iterdir() if p.is_dir())


def test_a_tar_file_is_unpacked(whole, tmp_path, capsys):
    out = unpack(whole, tmp_path/'new'/'data', hashlib.sha256(whole.read_bytes()).hexdigest().upper())
    assert (out/'nut/train/good/0.png').read_bytes() == b'one' and (out/'nut/readme.txt').read_bytes() == b'two'
    assert '2 files, 0 MiB, into data' in capsys.readouterr().out


@pytest.mark.parametrize('mode', ['w', 'w:gz', 'w:bz2', 'w:xz'])
def test_a_dataset_is_complete_after_unpacking(mode, tmp_path):
    make_mvtec_ad(tmp_path/'in')
    with tarfile.open(tmp_path/'nut.tar', mode) as t: t.add(tmp_path/'in'/'nut', 'nut')
    assert check_dataset(unpack(tmp_path/'nut.tar', tmp_path/'out'))[0]['faults'] == []


def test_backslashes_of_a_zip_file_are_folders(tmp_path):
    with zipfile.ZipFile(tmp_path/'x.zip', 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('a\\b.txt', 'one')
        z.writestr('c/', '')
    assert (unpack(tmp_path/'x.zip', tmp_path/'out')/'a/b.txt').read_text() == 'one'


def test_a_folder_that_exists_is_left_alone(whole, tmp_path):
    (tmp_path/'data').mkdir()
    with pytest.raises(UserError, match='exists already'): unpack(whole, tmp_path/'data')
    with pytest.raises(UserError, match='does not exist'): unpack(tmp_path/'missing.tar', tmp_path/'out')


def test_a_wrong_checksum_is_refused(whole, tmp_path):
    with pytest.raises(UserError, match='has the checksum .*, not abc; fetch it again'):
        unpack(whole, tmp_path/'out', 'abc')
    assert folders(tmp_path) == []


@pytest.mark.parametrize('name, content, says', [
    ('../out', b'x', 'leads out'), ('/etc/out', b'x', 'leads out'), ('a/../../out', b'x', 'leads out'),
    ('..\\out', b'x', 'leads out'), ('C:\\out', b'x', 'leads out'), ('in', tarfile.SYMTYPE, 'a link'),
    ('in', tarfile.LNKTYPE, 'a link'), ('in', tarfile.FIFOTYPE, 'a device'), ('good', b'x', 'twice')])
def test_a_member_that_no_dataset_needs_is_refused(name, content, says, tmp_path):
    bad = tar(tmp_path/'bad.tar', ('good', b'x'), (name, content))
    with pytest.raises(UserError, match=says): unpack(bad, tmp_path/'out')
    assert folders(tmp_path) == []


@pytest.mark.parametrize('name, mode, says', [('../out', 0o100644, 'leads out'), ('in', 0o120777, 'a link')])
def test_a_member_of_a_zip_file_that_no_dataset_needs_is_refused(name, mode, says, tmp_path):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path/'bad.zip', 'w') as z: z.writestr(info, '/etc/passwd')
    with pytest.raises(UserError, match=says): unpack(tmp_path/'bad.zip', tmp_path/'out')
    assert folders(tmp_path) == []


def test_an_archive_of_no_files_is_refused(tmp_path):
    empty = tar(tmp_path/'x.tar', ('in', tarfile.DIRTYPE))
    with pytest.raises(UserError, match='holds no files'): unpack(empty, tmp_path/'out')


def test_a_full_disk_is_named_before_anything_is_written(whole, tmp_path, monkeypatch):
    monkeypatch.setattr('shutil.disk_usage', lambda _: namedtuple('usage', 'free')(5))
    with pytest.raises(UserError, match='has 0 MiB left, .* needs 0 MiB; free some space'):
        unpack(whole, tmp_path/'out')
    assert folders(tmp_path) == []


def damaged(path, change):
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data) or data)
    return path


def flip_middle(data): data[len(data)//2] ^= 255


@pytest.mark.parametrize('change', [flip_middle, lambda data: data[:100], lambda data: b'hello', lambda data: b' '])
def test_a_damaged_tar_file_leaves_nothing(change, whole, tmp_path):
    with pytest.raises(UserError, match='whole.tar.xz cannot be .*fetch it again'):
        unpack(damaged(whole, change), tmp_path/'out')
    assert folders(tmp_path) == []


def test_a_damaged_zip_file_leaves_nothing(tmp_path):
    with zipfile.ZipFile(tmp_path/'x.zip', 'w') as z: z.writestr('a/b.txt', 'one'*100)
    content = (tmp_path/'x.zip').read_bytes()
    (tmp_path/'cut.zip').write_bytes(content[:60])
    (tmp_path/'wrong.zip').write_bytes(content.replace(b'oneone', b'oneTwo', 1))
    cut = 'cut.zip cannot be read as an archive (file could not be opened successfully); fetch it again.'
    with pytest.raises(UserError) as e: unpack(tmp_path/'cut.zip', tmp_path/'out')
    assert str(e.value).endswith(cut)
    with pytest.raises(UserError, match='wrong.zip cannot be unpacked .*fetch it again'):
        unpack(tmp_path/'wrong.zip', tmp_path/'out')
    assert folders(tmp_path) == []


def test_a_member_that_is_longer_than_it_states_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path/'x.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('bomb', bytes(100_000))
    size = (100_000).to_bytes(4, 'little')
    (tmp_path/'x.zip').write_bytes((tmp_path/'x.zip').read_bytes().replace(size, (10).to_bytes(4, 'little')))
    with pytest.raises(UserError, match='cannot be unpacked'): unpack(tmp_path/'x.zip', tmp_path/'out')
    assert folders(tmp_path) == []
