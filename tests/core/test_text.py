"How figures are written."
import pytest
from mudenet.core.text import gain_text, interval_text, percent, points, split_list, text_table


@pytest.mark.parametrize('difference, text', [(.0071, '+0.7'), (-.0071, '−0.7'), (.0001, '0.0'), (-.0001, '0.0')])
def test_a_difference_has_a_sign_unless_it_is_zero(difference, text): assert points(difference) == text


@pytest.mark.parametrize('interval, text', [
    ([-.008, .022], '[−0.8, +2.2]'), ([-.008, -.0003], '[−0.80, −0.03]'), ([-.008, .0003], '[−0.8, 0.0]'),
    ([0, 0], '[0.0, 0.0]'), ([-.0000033, -.0000006], '[−0.0003, −0.0001]'), ([1e-12, 1e-11], '[0.000000, 0.000000]'),
    (None, '—')])
def test_an_interval_shows_on_which_side_of_zero_it_ends(interval, text): assert interval_text(interval) == text


def test_a_gain_of_one_seed_has_no_interval():
    assert gain_text(-.012, None) == '−1.2 (1 seed)' and gain_text(.012, [.01, .014]) == '+1.2 [+1.0, +1.4]'
    assert percent(.4567) == '45.7'


def test_a_table_is_aligned():
    rows = [{'id': 'a', 'n': 10}, {'id': 'bcd', 'n': 2}]
    assert text_table(rows) == 'id   n\na    10\nbcd  2' and text_table(rows, ['n']) == 'n\n10\n2'
    assert text_table([]) == ''


@pytest.mark.parametrize('text, names', [
    ('', ['']), ('a', ['a']), ('a, b,,a', ['a', 'b']), ('"a,b",c', ['a,b', 'c']), (r'a\,b', ['a,b']), (',', ['']),
    ('a\nb', ['a', 'b']), (['a,b', 'a,b'], ['a,b']), (42, ['42']), ('"open', ['open']), ('001', ['001'])])
def test_a_list_has_each_name_once_and_a_name_may_hold_a_comma(text, names):
    assert split_list(text) == names
