"The paper's backbone, from a weights file on this disk; its real weights are not shipped, so they are random here."
import hashlib
import pytest, torch, torchvision
from mudenet.core.errors import UserError
from mudenet.model import backbone
from mudenet.model.backbone import WIDE_RESNET_FILES, FeatureTarget, wide_resnet_file


@pytest.fixture
def pass_for(monkeypatch):
    "A function that makes a file pass for torchvision's, whose name ends in the SHA-256's first digits."
    def stand_in(path):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setitem(WIDE_RESNET_FILES, 'imagenet1k_v1', f'wide_resnet50_2-{digest[:8]}.pth')
        monkeypatch.setenv('MUDENET_WEIGHTS', str(path))
    return stand_in


def test_wide_resnet_takes_a_local_file(pass_for, tmp_path):
    torch.manual_seed(0)
    torch.save(torchvision.models.wide_resnet50_2().state_dict(), tmp_path/'copy.pth')
    pass_for(tmp_path/'copy.pth')
    target = FeatureTarget('wide_resnet50_2', 128, 42)
    out = target(torch.randn(2, 3, 64, 64))
    assert out.shape == (2, 128, 32, 32) and out.isfinite().all()
    assert not any(m.training for m in target.modules()) and not any(p.requires_grad for p in target.parameters())


def test_without_its_file_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv('MUDENET_WEIGHTS', raising=False)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError, match='wide_resnet50_2-95faca4d.pth'): FeatureTarget('wide_resnet50_2', 128, 42)


@pytest.mark.parametrize('weights', WIDE_RESNET_FILES)
def test_a_folder_may_hold_the_files_under_their_names(weights, monkeypatch, tmp_path):
    path = tmp_path/WIDE_RESNET_FILES[weights]
    path.write_bytes(b'other weights')
    monkeypatch.setenv('MUDENET_WEIGHTS', str(tmp_path))
    with pytest.raises(UserError, match=f'The weights file {path} is not torchvision'): wide_resnet_file(weights)


class Trap:
    "Unpickling this would run code."
    def __reduce__(self): return (print, ('ran',))


def test_a_weights_file_runs_no_code(pass_for, tmp_path, capsys):
    torch.save({'x': Trap()}, tmp_path/'trap.pth')
    pass_for(tmp_path/'trap.pth')
    with pytest.raises(UserError, match='cannot be read'): FeatureTarget('wide_resnet50_2', 64, 42)
    assert 'ran' not in capsys.readouterr().out


def test_the_weights_of_another_network_are_refused(pass_for, tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path/'other.pth')
    pass_for(tmp_path/'other.pth')
    with pytest.raises(UserError, match='is not one of wide_resnet50_2'): FeatureTarget('wide_resnet50_2', 64, 42)


SHIFTED = {str(i): torch.zeros(3) for i in range(len(backbone.efficientnet_lite0().state_dict()))}


@pytest.mark.parametrize('held, says', [
    ([1, 2], 'holds a list and not tensors by name'), (torch.zeros(3), 'holds a Tensor and not'),
    (dict(state_dict={}), 'holds a dict and not'), ({0: torch.zeros(3)}, 'holds a dict and not'),
    (torch.nn.Linear(2, 2).state_dict(), 'is not one of'), (SHIFTED, 'is not one of'), ({}, 'is not one of')])
def test_a_weights_file_with_anything_else_is_refused_in_one_sentence(held, says, pass_for, monkeypatch, tmp_path):
    path = tmp_path/'weights.pth'
    torch.save(held, path)
    pass_for(path)
    monkeypatch.setattr(backbone, 'efficientnet_file', lambda weights='': path)
    for name in ('wide_resnet50_2', 'efficientnet_lite0'):
        with pytest.raises(UserError, match=f'The weights file {path} {says}'): FeatureTarget(name, 64, 42)


def test_a_weights_file_that_nobody_may_read_is_named(pass_for, monkeypatch, tmp_path):
    (tmp_path/'copy.pth').write_bytes(b'weights')
    pass_for(tmp_path/'copy.pth')
    def refuse(*_): raise PermissionError(13, 'Permission denied')
    monkeypatch.setattr(backbone, '_sha256', refuse)
    with pytest.raises(UserError, match='Permission denied.*change the permission, or name another copy'):
        wide_resnet_file()


def test_without_the_package_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda _: None)
    with pytest.raises(UserError, match='install it with pip'): backbone.efficientnet_file()
