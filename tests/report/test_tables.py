"What the home page advises, from made-up records."
import pytest
from made_log import NOTHING_RAN, with_gains
from mudenet.report.tables import advice
from mudenet.study.records import COMPARATOR


@pytest.mark.parametrize('best, bank, taken, ahead', [(.08, .01, 'our best', 1), (.01, .08, 'the memory bank', 0)])
def test_the_advice_follows_from_the_figures(best, bank, taken, ahead):
    text = advice(with_gains(**{'best': best, COMPARATOR: bank}))
    assert text.count(f'take {taken}. In ') == 2 and f'ahead of the memory bank on {ahead} of 1 data sets' in text
    assert '<th>PRO, our best</th>' in text and '<td>89.8</td>' in text          # 81 and 1.1 times 8


def test_without_records_no_method_is_advised():
    assert advice(NOTHING_RAN).startswith('Not run yet')
