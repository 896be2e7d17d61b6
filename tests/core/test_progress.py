"A bar where a person looks, a line an epoch in a log, and silence elsewhere."
import os, pty, re, subprocess, sys, termios
import pytest, torch
from mudenet.core import progress as module
from mudenet.core.progress import StepBar, echo_prints, progress, steps_around

ITEMS = """
from mudenet.core.progress import progress
assert list(progress(iter('abc'), 'counting', 3)) == ['a', 'b', 'c']
"""
STEPS = """
import time, torch
from mudenet.core.progress import StepBar, steps_around
with steps_around(0, 6, 2.), StepBar('lesson', 2, 2) as bar:
    for epoch in range(2):
        for loss in (4., 2.):
            time.sleep({pause})
            bar.step(torch.tensor([loss, 1.]))
        bar.epoch(dict(a=3., b=1.))
"""


def run(code, **streams):
    env = {k: v for k, v in os.environ.items() if k != 'JPY_SESSION_NAME'}
    return subprocess.run([sys.executable, '-c', code], check=True, env=env, **streams)


def on_terminal(code):
    "What a terminal of 100 columns gets from a process."
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    run(code, stderr=theirs)
    seen = os.read(ours, 100_000).decode()
    for end in (ours, theirs): os.close(end)
    return seen


def test_items_pass_unchanged(): assert list(progress(range(3), 'counting')) == [0, 1, 2]


def test_items_leave_no_trace_in_a_log(): assert run(ITEMS, stderr=subprocess.PIPE).stderr == b''


def test_items_have_a_bar_on_a_terminal(): assert 'counting' in on_terminal(ITEMS)


def test_a_log_gets_one_line_an_epoch():
    lines = run(STEPS.format(pause=0), stderr=subprocess.PIPE, text=True).stderr.splitlines()
    assert [line.rpartition(',')[0] for line in lines] == [f'lesson: epoch {k} of 2, loss 4' for k in (1, 2)]


def test_a_bar_counts_all_steps_moves_within_a_slow_one_and_is_gone_at_the_end():
    seen = on_terminal(STEPS.format(pause=1.2)).split('\r')
    bars = [s for s in seen if 'steps' in s]
    assert bars[0].startswith('lesson: epoch 1 of 2 ') and '0/10 steps' in bars[0]
    assert any(re.search(r'epoch 2 of 2, loss 5, 00:\d\d left .*3/10 steps', s) for s in bars)
    assert len(set(bars)) >= 5 and not seen[-1].strip()


def test_the_time_left_counts_dearer_steps_of_a_later_training(monkeypatch):
    now = [0.]
    monkeypatch.setattr(module.time, 'perf_counter', lambda: now[0])
    with steps_around(0, 10, 3.): bar = StepBar('lesson', epochs=2, batches=5, done=1)
    assert bar.text() == 'lesson: epoch 1 of 2'
    now[0] = 2.                                                   # a step took two seconds
    bar.step(torch.tensor([1., 2.]))
    assert bar.text() == 'lesson: epoch 2 of 2, loss 3, 01:08 left'
    now[0] = 10.                                                  # the next one is taking long
    assert bar.text().endswith(' 01:00 left') and StepBar('alone', 1, 1).after == 0


@pytest.fixture
def kernel(monkeypatch):
    "As if this process were the kernel of a notebook that papermill runs."
    def of(command, terminal='/dev/null'):
        monkeypatch.setitem(sys.modules, 'ipykernel', module)
        monkeypatch.delenv('JPY_SESSION_NAME', raising=False)
        monkeypatch.setattr(module.os, 'readlink', lambda _: terminal)
        monkeypatch.setattr(module.psutil.Process, 'cmdline', lambda self: command)
    return of


@pytest.mark.parametrize('command, logs', [(['papermill', '--log-output'], True), (['papermill'], False)])
def test_a_notebook_gets_lines_where_papermill_logs_them(command, logs, kernel, monkeypatch):
    kernel(command)
    assert StepBar('lesson', 1, 1).log is (sys.stdout if logs else None)
    monkeypatch.setenv('JPY_SESSION_NAME', 'lab')
    assert StepBar('lesson', 1, 1).log is None


class Stdout:
    "As a kernel has it."
    echo = None


@pytest.mark.parametrize('command, echoes', [(['papermill'], True), (['papermill', '--log-output'], False)])
def test_what_a_notebook_prints_is_seen_on_papermills_terminal(command, echoes, kernel, monkeypatch):
    ours, theirs = pty.openpty()
    kernel(command, os.ttyname(theirs))
    monkeypatch.setattr(sys, 'stdout', Stdout())
    echo_prints()
    assert (sys.stdout.echo is not None) == echoes
    if echoes:
        print('waiting', file=sys.stdout.echo, flush=True)
        assert os.read(ours, 100).strip() == b'waiting'
    for end in (ours, theirs): os.close(end)
