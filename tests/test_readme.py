"README fits on one screen, and names what exists."
import re
from conftest import ROOT
from mudenet.__main__ import COMMANDS

TEXT = (ROOT/'README.md').read_text()


def test_it_fits_on_a_screen(): assert len(TEXT.splitlines()) <= 60


def test_the_targets_named_exist():
    makefile = (ROOT/'Makefile').read_text()
    for target in ('run', 'test', 'study', 'lab', 'site', 'bench', 'publish'):
        assert f'make {target}' in TEXT and f'\n{target}: ' in makefile


def test_the_commands_named_exist():
    named = re.findall(r'(?:^|`|\n)mudenet ([a-z-]+)', TEXT)
    assert named and set(named) <= set(COMMANDS)


def test_every_papermill_command_says_where_its_output_goes():
    commands = re.findall(r'^papermill (\S+) (\S+)', TEXT, re.M)
    assert commands and all(source.endswith('.ipynb') and out.endswith('.ipynb') for source, out in commands)


def test_local_links_lead_somewhere():
    for target in re.findall(r'\]\(([^)]+)\)', TEXT):
        if target.startswith('http') or target.endswith('results.svg'): continue       # drawn by `make publish`
        assert (ROOT/target).exists(), target
