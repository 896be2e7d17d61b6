"The paper's backbone, from a weights file on this disk; its real weights are not shipped, so they are random here."
import pytest, torch, torchvision
from mudenet.backbone import FeatureTarget
from mudenet.config import UserError


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights')/'wide_resnet50_2.pth'
    torch.manual_seed(0)
    torch.save(torchvision.models.wide_resnet50_2().state_dict(), path)
    return path


def test_wide_resnet_takes_a_local_file(weights, monkeypatch):
    monkeypatch.setenv('MUDENET_WEIGHTS', str(weights))
    target = FeatureTarget('wide_resnet50_2', 128, 42)
    out = target(torch.randn(2, 3, 64, 64))
    assert out.shape == (2, 128, 32, 32) and out.isfinite().all()
    assert not any(m.training for m in target.modules()) and not any(p.requires_grad for p in target.parameters())


def test_without_its_file_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv('MUDENET_WEIGHTS', raising=False)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError, match='wide_resnet50_2-9ba9bcbe.pth'): FeatureTarget('wide_resnet50_2', 128, 42)


class Trap:
    "Unpickling this would run code."
    def __reduce__(self): return (print, ('ran',))


def test_a_weights_file_runs_no_code(tmp_path, monkeypatch, capsys):
    torch.save({'x': Trap()}, tmp_path/'trap.pth')
    monkeypatch.setenv('MUDENET_WEIGHTS', str(tmp_path/'trap.pth'))
    with pytest.raises(UserError, match='cannot be read'): FeatureTarget('wide_resnet50_2', 64, 42)
    assert 'ran' not in capsys.readouterr().out
