"One sentence an error: for a name that does not exist, for what the operating system refuses, without a traceback."
import errno, os
import pytest
from mudenet.core.errors import Interrupted, UserError, choose, os_error, shown


def test_a_name_that_exists_is_returned():
    assert choose('Budget', 'cpu', ['smoke', 'cpu']) == 'cpu'


def test_a_mistyped_name_gets_the_nearest_one():
    with pytest.raises(UserError, match="^Budget 'smok' does not exist; did you mean 'smoke'\\?$"):
        choose('Budget', 'smok', ['smoke', 'cpu'])


def test_a_name_that_resembles_none_gets_them_all():
    with pytest.raises(UserError, match="there are: smoke, cpu\\.$"): choose('Budget', 'x', ['smoke', 'cpu'])


@pytest.mark.parametrize('code, advice', [
    ('ENOSPC', 'free some space'), ('EDQUOT', 'free some space'), ('EACCES', 'change the permission'),
    ('EPERM', 'change the permission'), ('EROFS', 'read-only'), ('EEXIST', 'a file is in the way'),
    ('ENOTDIR', 'a file is in the way'), ('EISDIR', 'a folder is in the way'), ('ENAMETOOLONG', 'shorten it'),
    ('ELOOP', 'links lead in a circle'), ('EIO', 'choose another place')])
def test_the_advice_fits_the_error(code, advice):
    number = getattr(errno, code)
    said = str(os_error('a.json', OSError(number, os.strerror(number))))
    assert said.startswith(f'a.json cannot be written ({os.strerror(number)}); ') and advice in said
    assert said.endswith('choose another place.') and ('space' in said) == (advice == 'free some space')


def test_the_file_that_is_in_the_way_is_named(tmp_path):
    (tmp_path/'file').touch()
    with pytest.raises(OSError) as e: (tmp_path/'file'/'x').mkdir(parents=True)
    assert f"(Not a directory: {tmp_path/'file'/'x'})" in str(os_error(tmp_path, e.value))


@pytest.mark.parametrize('text, line', [
    ('größe.png', 'größe.png'), (os.fsdecode(b'gut_\xfc.png'), r'gut_\udcfc.png'), ('a\nb\x07', r'a\nb\x07'),
    ('line\u2028', r'line\u2028'), ('narrow\u202fspace', 'narrow\u202fspace')])
def test_what_cannot_be_printed_is_written_as_an_escape(text, line):
    assert shown(text) == line and line.encode()
    assert str(UserError(f"{line} is wrong.")) == f'{line} is wrong.'


@pytest.mark.parametrize('kind', [UserError, Interrupted])
def test_a_notebook_shows_the_sentence_alone(kind):
    assert kind('One sentence.')._render_traceback_() == [f'{kind.__name__}: One sentence.']


def test_an_interruption_is_caught_by_no_handler_of_errors():
    assert issubclass(Interrupted, KeyboardInterrupt) and not issubclass(Interrupted, Exception)
    assert issubclass(UserError, ValueError)
