import io

from shared import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_a_line_comes_now_and_then(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.count_bar("reading 400 files", 400) as update:
        for now in (1.0, 9.0, 11.0, 12.0, 22.0):
            update(int(now * 10), 400)
    assert capsys.readouterr().err.splitlines() == [
        "reading 400 files",
        "reading 400 files: 110 of 400",
        "reading 400 files: 220 of 400",
    ]


def test_what_each_bar_shows(capsys, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    with progress.spinner("waiting"):
        pass
    with progress.stage_bar("checking", 2) as begin, progress.count_bar("training") as update:
        begin("labels")
        begin("tokens")
        update(120, 400, "loss 2.31")
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == [
        "waiting",
        "checking",
        "training",
        "checking: 0 of 2 labels",
        "checking: 1 of 2 tokens",
        "training: 120 of 400 loss 2.31",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.count_bar("reading [all] files", 400) as update:
        update(100, 400)
    assert "reading [all] files: 100 of 400" in terminal.getvalue()
