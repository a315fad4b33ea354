import io

from shared import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_a_line_announces_the_work(capsys):
    with progress.spinner("waiting"), progress.stage_bar("checking", 2) as begin:
        begin("labels")
        with progress.count_bar("training") as update:
            update(120, 400, "loss 2.31")
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", ["waiting", "checking", "training"])


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.count_bar("reading [all] files", 400) as update:
        update(100, 400, "loss 2.31")
    with progress.stage_bar("checking", 2) as begin:
        begin("labels")
    for shown in ("reading [all] files: 100 of 400 loss 2.31", "checking: 0 of 2 labels"):
        assert shown in terminal.getvalue()
