"""Runs lessons as nbdev_test does, each in a fork of one process that has imported what is slow to import.

Reads a line `<notebook> <file for its output>` each, and answers with the exit status.
"""
import contextlib, os, sys, traceback
from pathlib import Path

for package in ('torch', 'torchvision', 'timm', 'pandas', 'scipy.stats', 'seaborn', 'IPython'): __import__(package)
from nbdev.config import get_config
from nbdev.test import test_nb


def run(notebook, output):
    "Run a notebook with its output in a file; returns 0 if all cells ran, 1 if one failed, 2 if it cannot be run."
    with open(output, 'w') as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        for stream in (1, 2): os.dup2(out.fileno(), stream)
        try: passed, _ = test_nb(Path(notebook), get_config().tst_flags.split(), basepath=get_config().config_path)
        except BaseException:
            traceback.print_exc()
            return 2
        return 0 if passed else 1


def main():
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 99
            try: status = run(*line.rstrip('\n').split('\t'))
            finally: os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == '__main__': main()
