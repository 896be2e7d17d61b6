"""What `make lab` adds to JupyterLab: it saves this checkout's notebooks clean, so that a run leaves no diff."""
from pathlib import Path
from nbdev.clean import clean_nb
from nbdev.config import get_config

CHECKOUT = Path(__file__).resolve().parents[2]
LESSONS, EXPERIMENTS = CHECKOUT/'nbs', CHECKOUT/'experiments'
WIDGET = 'application/vnd.jupyter.widget-view+json'         # of a progress bar, which is over


def clean(model, path, contents_manager, **_):
    "What `nbdev_clean` does, without bars; an experiment's notebook keeps no outputs, since its runs keep theirs."
    folder = (Path(contents_manager.root_dir)/path.lstrip('/')).resolve().parent
    if model['type'] != 'notebook' or not {LESSONS, EXPERIMENTS} & {folder, *folder.parents}: return
    notebook, settings = model['content'], get_config(path=CHECKOUT)
    notebook['metadata'].pop('widgets', None)
    for cell in notebook['cells']:
        if 'outputs' not in cell: continue
        kept = [o for o in cell['outputs'] if WIDGET not in o.get('data', {})]
        cell['outputs'] = [] if folder == EXPERIMENTS else kept
    clean_nb(notebook, allowed_cell_metadata_keys=settings.allowed_cell_metadata_keys.split(),
             clean_ids=settings.clean_ids)


c.FileContentsManager.pre_save_hook = clean                 # noqa: F821
