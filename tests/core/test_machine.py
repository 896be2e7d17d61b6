"What a record says of the machine, and which modules start without torch."
import subprocess, sys
import pytest
from mudenet.core.errors import UserError
from mudenet.core.machine import environment, free_memory, git_revision, peak_memory, resolve_device

WITHOUT_TORCH = ['core.errors', 'core.config', 'core.files', 'core.machine', 'core.text', 'core.progress',
                 'data.images', 'data.layouts', 'data.sources', 'data.validate', 'data.archives']


def test_core_and_the_checks_of_data_start_without_torch():
    imports = ', '.join(f'mudenet.{m}' for m in WITHOUT_TORCH)
    code = f"import sys, {imports}\nassert not {{'torch', 'pandas', 'matplotlib', 'scipy'}} & set(sys.modules)"
    subprocess.run([sys.executable, '-c', code], check=True)


def test_an_environment_names_versions_and_no_place():
    found = environment('cpu')
    assert set(found) == {'device', 'device_name', 'threads', 'versions', 'revision'}
    assert list(found['versions'])[:2] == ['python', 'mudenet'] and 'torch' in found['versions']


def test_there_is_no_revision_without_git(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert git_revision() is None


def test_devices_are_resolved_or_refused(monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert [resolve_device(d) for d in ('cpu', 'auto')] == ['cpu', 'cpu']
    assert resolve_device('cuda', here=False) == 'cuda'
    with pytest.raises(UserError, match='no CUDA device is here'): resolve_device('cuda')
    with pytest.raises(UserError, match="Device 'gpu' does not exist"): resolve_device('gpu')
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    assert [resolve_device(d) for d in ('cpu', 'auto', 'cuda')] == ['cpu', 'cuda', 'cuda']


def test_memory_is_in_bytes():
    assert set(peak_memory('cpu')) == {'process'} and peak_memory('cpu')['process'] > 10**7    # an interpreter alone
    assert 0 <= free_memory('cpu') < 2**50
