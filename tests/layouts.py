"Small copies of the layouts in which datasets come, with random pictures."
import json
import numpy as np
from PIL import Image

SHAPE = (48, 40)                # H, W
RNG = np.random.default_rng(0)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 255, (*SHAPE, 3), dtype=np.uint8)).save(path)


def mask(path, value=255, shape=SHAPE):
    path.parent.mkdir(parents=True, exist_ok=True)
    m = np.zeros(shape, np.uint8)
    m[:8,:8] = value
    Image.fromarray(m).save(path)


def make_mvtec_ad(root):
    for d, n in (('train/good', 4), ('test/good', 2), ('test/cut', 2)):
        for i in range(n): picture(root/'nut'/d/f'{i:03}.png')
    for i in range(2): mask(root/'nut/ground_truth/cut'/f'{i:03}_mask.png')


ENTRIES = [
    dict(defect_name='missing', pixel_value=255, saturation_threshold=20, relative_saturation=False),
    dict(defect_name='scratch', pixel_value=254, saturation_threshold=1., relative_saturation=True)]


def make_mvtec_loco(root):
    counts = {'train/good': 3, 'validation/good': 2, 'test/good': 2, 'test/logical_anomalies': 2,
              'test/structural_anomalies': 1}
    for d, n in counts.items():
        for i in range(n): picture(root/'juice_bottle'/d/f'{i:03}.png')
    masks = {'logical_anomalies/000': (255, 254), 'logical_anomalies/001': (255,), 'structural_anomalies/000': (254,)}
    for d, values in masks.items():
        for i, v in enumerate(values): mask(root/'juice_bottle/ground_truth'/d/f'{i:03}.png', v)
    (root/'juice_bottle/defects_config.json').write_text(json.dumps(ENTRIES))


def make_visa(root):
    rows = ['object,split,label,image,mask']
    for i in range(6):
        picture(root/'pcb1/Data/Images/Normal'/f'{i:03}.JPG')
        rows.append(f"pcb1,{'train' if i < 4 else 'test'},normal,pcb1/Data/Images/Normal/{i:03}.JPG,")
    for i in range(2):
        picture(root/'pcb1/Data/Images/Anomaly'/f'{i:03}.JPG')
        mask(root/'pcb1/Data/Masks/Anomaly'/f'{i:03}.png', i+1)
        rows.append(f'pcb1,test,anomaly,pcb1/Data/Images/Anomaly/{i:03}.JPG,pcb1/Data/Masks/Anomaly/{i:03}.png')
    (root/'split_csv').mkdir()
    (root/'split_csv/1cls.csv').write_text('\n'.join(rows))


def make_folder(root):
    for d, n in (('good', 6), ('bent', 2)):
        for i in range(n): picture(root/'nuts'/d/f'{i:03}.bmp')


def make_good_only(root):
    for i in range(6): picture(root/'nuts/good'/f'{i:03}.png')
