"Any picture becomes RGB bytes by one rule, and any mask the pixels that it marks."
import io
import numpy as np, pytest
from PIL import Image
from mudenet.core.errors import UserError
from mudenet.data.images import binarize, image_shape, read_image, read_mask, resize, thumbnail


@pytest.mark.parametrize('extension', ['png', 'jpg', 'bmp', 'tif'])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'P'])
def test_formats_and_modes(extension, mode, tmp_path):
    if (extension, mode) == ('jpg', 'P'): pytest.skip('JPEG has no palette')
    picture = Image.fromarray(np.full((16,16,3), (200,100,50), np.uint8)).convert(mode)
    picture.save(tmp_path/f'x.{extension}')
    pixel = read_image(tmp_path/f'x.{extension}')[8,8].astype(int)
    assert abs(pixel - np.asarray(picture.convert('RGB'))[8,8]).max() <= 3


@pytest.mark.parametrize('pixels, rgb', [
    (np.full((4,4), 65535, np.uint16), [255]*3), (np.full((4,4), 257*7, np.uint16), [7]*3),
    (np.full((4,4), 7, np.uint8), [7]*3),
    (np.full((4,4,4), (200,100,50,0), np.uint8), [0]*3), (np.full((4,4,4), (200,100,50,255), np.uint8), [200,100,50]),
    (np.full((4,4,2), (200,0), np.uint8), [0]*3), (np.full((4,4,2), (200,128), np.uint8), [100]*3)])
def test_gray_is_scaled_and_alpha_composited_on_black(pixels, rgb, tmp_path):
    Image.fromarray(pixels).save(tmp_path/'x.png')
    assert abs(read_image(tmp_path/'x.png')[0,0].astype(int) - rgb).max() <= 1


def test_more_than_16_bits_are_refused(tmp_path):
    Image.fromarray(np.full((4,4), .5, np.float32)).save(tmp_path/'x.tif')
    with pytest.raises(UserError, match="x.tif has pixels of kind 'F' outside 16 bits"): read_image(tmp_path/'x.tif')


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    Image.new('L', (4,4)).save(tmp_path/'x.png')
    (tmp_path/'cut.png').write_bytes((tmp_path/'x.png').read_bytes()[:40])
    (tmp_path/'text.png').write_text('hello')
    for name in ('cut.png', 'text.png', 'missing.png'):
        with pytest.raises(UserError, match=f'{name} cannot be read as an image'): read_image(tmp_path/name)
        with pytest.raises(UserError, match=f'{name} cannot be read as a mask'): read_mask(tmp_path/name)
    with pytest.raises(UserError, match='text.png cannot be read as an image'): image_shape(tmp_path/'text.png')


def test_the_shape_is_rows_and_columns(tmp_path):
    Image.new('L', (6,4)).save(tmp_path/'x.bmp')
    assert image_shape(tmp_path/'x.bmp') == read_mask(tmp_path/'x.bmp').shape == (4,6)


def test_the_palette_of_a_mask_is_not_looked_up(tmp_path):
    numbered = Image.new('P', (4,4))
    numbered.putpalette([0,0,0]*256)                  # every color is black
    numbered.putpixel((1,0), 3)
    numbered.save(tmp_path/'x.png')
    assert read_mask(tmp_path/'x.png')[0].tolist() == [0,3,0,0]


def test_the_alpha_of_a_mask_is_no_value(tmp_path):
    eye, full = np.eye(4, dtype=np.uint8)*9, np.full((4,4), 255, np.uint8)
    for name, channels in (('LA', [eye, full]), ('RGBA', [eye, eye*0, eye//2, full])):
        Image.fromarray(np.stack(channels, 2)).save(tmp_path/f'{name}.png')
        assert (read_mask(tmp_path/f'{name}.png') == eye).all()


@pytest.mark.parametrize('values, marks', [
    ([0, 3], [False, True]), ([0, 255, 90], [False, True, False]), ([0, 127, 1], [False, True, True]),
    ([0, 0], [False, False])])
def test_high_values_alone_mark_where_there_are_any(values, marks):
    assert binarize(np.array(values)).tolist() == marks


def test_resizing_keeps_a_flat_picture_and_averages_stripes():
    assert (resize(np.full((9,7,3), 5, np.uint8), 64) == np.full((3,64,64), 5)).all()
    picture = np.random.default_rng(0).integers(0, 256, (64,64,3), np.uint8)
    assert (resize(picture, 64) == picture.transpose(2,0,1)).all()
    stripes = np.zeros((256,256,3), np.uint8)
    stripes[:,::8] = 255
    assert abs(resize(stripes, 32).astype(float)[:,4:-4,4:-4] - 255/8).max() < 2


def test_a_thumbnail_has_64_colors_and_less_than_half_the_bytes(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64,64,3), np.uint8)).save(tmp_path/'x.png')
    small = thumbnail(tmp_path/'x.png')
    assert len(small) < (tmp_path/'x.png').stat().st_size/2 and len(Image.open(io.BytesIO(small)).getcolors()) <= 64
