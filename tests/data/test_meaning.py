"What the numbers in a file mean: orientation, formats, kinds of masks; what stays ambiguous is said."
import numpy as np, pytest
from layouts import make_mvtec_ad
from mudenet.core.errors import UserError
from mudenet.data import images
from mudenet.data.dataset import load_dataset
from mudenet.data.images import (binarize, image_shape, list_pictures, look_at_image, look_at_mask, picture_fault,
                                 read_image,
                                 read_mask)
from mudenet.data.sources import checked_source
from mudenet.data.validate import check_dataset
from PIL import Image, ImageOps

CORNER = np.zeros((8, 12), np.uint8)          # a dot in the upper left corner
CORNER[1:4,1:4] = 255


def saved(path, pixels, exif=None, **options):
    "Save pixels, with an orientation tag."
    tag = Image.Exif()
    if exif: tag[0x0112] = exif
    Image.fromarray(pixels).save(path, exif=tag, **options)
    return path


# Orientation

@pytest.mark.parametrize('form', ['png', 'tif', 'webp'])
@pytest.mark.parametrize('turn', range(1, 9))
def test_a_camera_s_orientation_is_applied_to_pictures_and_masks(form, turn, tmp_path):
    options = dict(lossless=True) if form == 'webp' else {}
    path = saved(tmp_path/f'x.{form}', np.stack([CORNER]*3, -1), turn, **options)
    plain = Image.fromarray(CORNER)
    plain.getexif()[0x0112] = turn
    expected = np.asarray(ImageOps.exif_transpose(plain))
    assert (read_image(path)[...,0] == expected).all() and (read_mask(path) == expected).all()
    assert image_shape(path) == expected.shape


def test_a_damaged_tag_is_none(tmp_path):
    for value in (0, 9, 77): assert read_image(saved(tmp_path/'x.png', CORNER, value)).shape[:2] == CORNER.shape


# Formats

@pytest.mark.parametrize('form', ['png', 'jpg', 'bmp', 'tif', 'webp', 'gif', 'pgm', 'tga', 'jp2', 'ico', 'avif',
                                  'JFIF', 'PNG'])
def test_whatever_pillow_opens_is_a_picture(form, tmp_path):
    if f'.{form.lower()}' not in images._endings(): pytest.skip(f'this Pillow has no {form}')
    Image.fromarray(np.full((16,16,3), 200, np.uint8)).save(tmp_path/f'x.{form}')
    assert list_pictures(tmp_path) == [tmp_path/f'x.{form}']
    assert abs(read_image(tmp_path/f'x.{form}').astype(int) - 200).max() < 4


@pytest.mark.parametrize('name, why', [
    ('a.heic', 'HEIC is not read here; convert it'), ('a.CR2', 'CR2 is not read here'), ('a.txt', 'no picture'),
                                       ('a', 'no picture'),
    ('a.h5', 'no picture'), ('a.pdf', 'PDF is not read here'), ('a.png.part', 'no picture')])
def test_what_is_no_picture_says_why(name, why): assert why in picture_fault(name)


def test_of_several_pictures_the_first_is_read_and_that_is_said(tmp_path):
    frames = [Image.new('L', (4,4), v) for v in (10, 20, 30)]
    for form in ('gif', 'tif', 'webp'):
        frames[0].save(tmp_path/f'x.{form}', save_all=True, append_images=frames[1:])
        pixels, (doubt,) = look_at_image(tmp_path/f'x.{form}')
        assert abs(int(pixels[0,0,0]) - 10) < 3 and 'holds 3 pictures, of which the first is read' in doubt


def test_a_limit_can_be_raised_by_name(tmp_path, monkeypatch):
    Image.new('L', (200,100)).save(tmp_path/'x.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 5_000)
    with pytest.raises(UserError, match='has 0 megapixels, and more than 0 .* set MUDENET_MAX_MEGAPIXELS=1 in'):
        read_image(tmp_path/'x.png')
    monkeypatch.setenv('MUDENET_MAX_MEGAPIXELS', '1')
    assert read_image(tmp_path/'x.png').shape == (100,200,3)
    for wrong in ('many', '1e999', '-5', 'nan'):
        monkeypatch.setenv('MUDENET_MAX_MEGAPIXELS', wrong)
        with pytest.raises(UserError, match='it takes a number above 0, such as 400'): read_image(tmp_path/'x.png')


def test_a_picture_of_12_bits_in_16_is_said_to_be_dark(tmp_path):
    for top, doubts in ((4095, 1), (16383, 1), (65535, 0)):
        Image.fromarray(np.linspace(0, top, 64).astype(np.uint16).reshape(8,8)).save(tmp_path/'x.png')
        found = look_at_image(tmp_path/'x.png')[1]
        assert len(found) == doubts and all(f'values up to {top} only' in doubt for doubt in found)


# Masks

SOFT = np.asarray(Image.fromarray(np.kron(CORNER, np.ones((3,3), np.uint8))).resize((16,10), Image.Resampling.BILINEAR))


def classes(*values):
    "A map of classes, a block each."
    out = np.zeros((8, 4*len(values) + 2), np.uint8 if max(values) < 256 else np.uint16)
    for i, value in enumerate(values): out[2:6,4*i+1:4*i+5] = value
    return out


@pytest.mark.parametrize('mask, share', [
    (classes(1, 200), 32/80), (classes(1, 2, 255), 48/112), (classes(3), 16/48), (classes(100, 300), 32/80),
    (classes(1, 40000), 32/80)])
def test_every_class_but_0_is_defective(mask, share): assert binarize(mask).mean() == pytest.approx(share)


def test_a_soft_edge_is_none_in_8_and_in_16_bits():
    assert (binarize(SOFT) == (SOFT > 127)).all() and len(np.unique(SOFT)) > 3
    deep = SOFT.astype(np.uint16)*257
    assert (binarize(deep) == binarize(SOFT)).all()


def test_a_palette_of_black_and_white_is_looked_up(tmp_path):
    im = Image.fromarray((CORNER == 0).astype(np.uint8), mode='P')      # white is number 0
    im.putpalette([255]*3 + [0]*3)
    im.save(tmp_path/'x.png')
    assert (read_mask(tmp_path/'x.png') == CORNER).all() and look_at_mask(tmp_path/'x.png')[1] == []


@pytest.mark.parametrize('pixels, says', [
    (255 - CORNER, 'marks 91 % of its picture; if black marks the defect, invert it'),
    (np.stack([CORNER, CORNER*0, 160 - CORNER//2], -1), 'has colors, of which the largest channel counts'),
    (CORNER.astype(np.uint16)*16, 'values up to 4080 only')])
def test_what_may_be_meant_otherwise_is_said(pixels, says, tmp_path):
    Image.fromarray(pixels).save(tmp_path/'x.png')
    assert any(says in doubt for doubt in look_at_mask(tmp_path/'x.png')[1])


@pytest.mark.parametrize('values, valid', [([0, .4, .6, 1], True), ([0, np.nan, 1, 1], False), ([0, -1, 1, 1], False)])
def test_a_mask_of_fractions_marks_from_a_half(values, valid, tmp_path):
    Image.fromarray(np.array(values, np.float32).reshape(2,2)).save(tmp_path/'x.tif')
    if valid: assert binarize(read_mask(tmp_path/'x.tif')).tolist() == [[False, False], [True, True]]
    else:
        with pytest.raises(UserError, match='cannot be read as a mask'): read_mask(tmp_path/'x.tif')


def test_doubts_are_warnings_of_the_check_and_of_a_run(tmp_path, capsys):
    make_mvtec_ad(tmp_path)
    where = tmp_path/'nut'/'ground_truth'/'cut'/'000_mask.png'
    Image.fromarray(255 - np.asarray(Image.open(where))).save(where)
    row, = check_dataset(tmp_path)
    assert row['faults'] == [] and [f'{where} marks' in w for w in row['warnings']] == [True]
    load_dataset(checked_source(tmp_path), 32)
    assert f'warning: {where} marks' in capsys.readouterr().out
