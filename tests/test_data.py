"One fault at a time in a folder of images; each is named in one sentence."
import numpy as np, pytest
from PIL import Image
from mudenet.config import UserError
from mudenet.data import load_mvtec, read_image
from mudenet.study import plan_run


def remove_all(folder):
    for p in folder.iterdir(): p.unlink()


def truncate(path): path.write_bytes(path.read_bytes()[:200])


FAULTS = {
    'no nominal images':        (lambda c: remove_all(c/'train/good'), 'train/good holds no images'),
    'no test images':           (lambda c: remove_all(c/'test/good'), 'test/good holds no images'),
    'image without a mask':     (lambda c: (c/'ground_truth/bent_wire/000_mask.png').unlink(), '000.png has no mask'),
    'mask without an image':    (lambda c: (c/'test/bent_wire/001.png').unlink(), '001_mask.png is a mask without an image'),
    'masks of an absent type':  (lambda c: (c/'ground_truth/ghost').mkdir(), 'ghost holds masks'),
    'mask of another size':     (lambda c: Image.new('L', (9,9), 255).save(c/'ground_truth/bent_wire/000_mask.png'), '000_mask.png is 9x9 pixels'),
    'empty mask':               (lambda c: Image.new('L', (64,64), 0).save(c/'ground_truth/bent_wire/000_mask.png'), '000_mask.png marks no pixel'),
    'truncated image':          (lambda c: truncate(c/'train/good/003.png'), '003.png cannot be read'),
    'text in place of an image': (lambda c: (c/'test/good/000.png').write_text('hello'), '000.png cannot be read'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_fault_is_named(fault, copy_of):
    damage, says = FAULTS[fault]
    damage(copy_of/'cable')
    with pytest.raises(UserError, match=says): load_mvtec(copy_of, 'cable', 64)


def test_layout_is_checked_before_anything_else(copy_of, tmp_path):
    remove_all(copy_of/'cable/train/good')
    with pytest.raises(UserError, match='holds no images'): plan_run(budget='smoke', data_root=copy_of, runs_dir=tmp_path)
    with pytest.raises(UserError, match='there are: cable'): plan_run(budget='smoke', data_root=copy_of, category='bottle', runs_dir=tmp_path)


@pytest.mark.parametrize('extension', ['png', 'jpg', 'bmp', 'tif'])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'P'])
def test_formats_and_modes(extension, mode, tmp_path):
    if (extension, mode) == ('jpg', 'P'): pytest.skip('JPEG has no palette')
    picture = Image.fromarray(np.full((16,16,3), (200,100,50), np.uint8)).convert(mode)
    picture.save(tmp_path/f'x.{extension}')
    pixel = read_image(tmp_path/f'x.{extension}')[8,8].astype(int)
    assert abs(pixel - np.asarray(picture.convert('RGB'))[8,8]).max() <= 3
