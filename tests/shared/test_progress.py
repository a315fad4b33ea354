import io

from shared import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_a_line_announces_the_work(capsys):
    with progress.spinner("waiting"), progress.count_bar("training") as update:
        update(120, 400, "loss 2.31")
    assert list(progress.track("checking", ["labels"], str)) == ["labels"]
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", ["waiting", "training", "checking"])


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.count_bar("reading [all] files", 400) as update:
        update(100, 400, "loss 2.31")
    assert list(progress.track("checking", ["labels", "rows"], str)) == ["labels", "rows"]
    for shown in ("reading [all] files: 100 of 400 loss 2.31", "checking: 1 of 2 rows"):
        assert shown in terminal.getvalue()
