"What README says is what the records say."
import shutil
from conftest import ROOT
from mudenet.records import read_json, write_json
from mudenet.audit import audit_pages, audit_records
from mudenet.decisions import RESULTS
from mudenet.study import bench_table, results_table, write_readme


def test_the_table_is_computed_from_the_committed_records():
    text = (ROOT/'README.md').read_text()
    assert results_table() in text and bench_table() in text


def test_the_committed_records_add_up(): assert audit_records() == []


def test_the_pages_state_what_was_reported_or_measured(): assert audit_pages() == []


def test_a_changed_record_changes_the_table(tmp_path):
    shutil.copytree(RESULTS, tmp_path/'results')
    path = next((tmp_path/'results').glob('*/retained-seed*.json'))     # of a headline
    record = read_json(path)
    record['metrics']['image_auroc'] = .123456
    record['seed'] = 999
    record['config_hash'] = 'planted'
    write_json(path, record)
    shutil.copy(ROOT/'README.md', tmp_path)
    write_readme(tmp_path/'README.md', tmp_path/'results')
    text = (tmp_path/'README.md').read_text()
    assert '| 999 | 12.3 |' in text and text != (ROOT/'README.md').read_text()


def test_the_commands_named_exist():
    text, makefile = (ROOT/'README.md').read_text(), (ROOT/'Makefile').read_text()
    for target in ('run', 'test', 'study', 'lab', 'log', 'site', 'bench', 'nbs', 'publish'):
        assert f'make {target}' in text and f'\n{target}: ' in makefile
