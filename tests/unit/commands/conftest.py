import pytest

from backtrail.cli import main


@pytest.fixture
def call(made, monkeypatch, capsys):
    """Run a command in the project `made` of a test's file; return status, output and errors."""
    monkeypatch.chdir(made.root)

    def call(*arguments):
        status = main([*arguments, "--configfile", "config.yaml"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
