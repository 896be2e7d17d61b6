"A smoke run, its deployed files and its test images as pictures: fixtures of the tests of deployment."
import csv
import pytest
from PIL import Image
from mudenet.deploy.export import export
from mudenet.study.execute import execute, load_images
from mudenet.study.run import Run, plan_run


@pytest.fixture(scope='module')
def smoke(tmp_path_factory):
    "A smoke run on the generated cable, its images and its result."
    job = plan_run(Run(budget='smoke', runs_dir=tmp_path_factory.mktemp('runs')))
    ds = load_images(job)
    return job, ds, execute(job, ds)


@pytest.fixture(scope='module')
def files(smoke, tmp_path_factory):
    "That run as .onnx and as .pt2."
    folder = tmp_path_factory.mktemp('files')
    for name in ('run.onnx', 'run.pt2'): export(smoke[0].folder, folder/name)
    return folder


@pytest.fixture(scope='module')
def pictures(smoke, tmp_path_factory):
    "Its test images as a folder with folders."
    folder = tmp_path_factory.mktemp('pictures')
    for name, image in zip(smoke[1].paths, smoke[1].test):
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1,2,0).numpy()).save(folder/name)
    return folder


def image_scores(result):
    "The scores of a run's record, in the order of its test images."
    return [i['score'] for i in result.record.images]


def table_rows(out):
    "The rows of a prediction's table, by path."
    with open(out/'scores.csv', newline='') as f: return {r['path']: r for r in csv.DictReader(f)}
