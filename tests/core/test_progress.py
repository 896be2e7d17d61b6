"A bar where a person looks, silence elsewhere."
import os, pty, subprocess, sys, termios
from mudenet.core.progress import progress

CODE = """
from mudenet.core.progress import progress
assert list(progress(iter('abc'), 'counting', 3)) == ['a', 'b', 'c']
"""


def run(**streams):
    env = {k: v for k, v in os.environ.items() if k != 'JPY_SESSION_NAME'}
    return subprocess.run([sys.executable, '-c', CODE], check=True, env=env, **streams)


def test_items_pass_unchanged(): assert list(progress(range(3), 'counting')) == [0, 1, 2]


def test_a_log_gets_no_bar(): assert run(stderr=subprocess.PIPE).stderr == b''


def test_a_terminal_gets_a_bar():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    run(stderr=theirs)
    assert b'counting' in os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)
