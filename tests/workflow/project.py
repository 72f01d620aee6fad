"""A small project of a user's own: prices, strategies, a config, and the repository's workflow."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests import warm
from tests.projects import PRICES, SMA, write_prices
from tests.workflow import forked_calls

REPOSITORY = Path(__file__).resolve().parents[2]

HOLD = '''"""Buy once and hold; imports nothing of the project."""


def initialize(context):
    context.bought = False


def handle_data(context, data):
    from backtrail.engine.api import order, symbol

    if not context.bought:
        order(symbol("BBB"), 100)
        context.bought = True
'''
LIBRARY = {
    "strategies/lib/__init__.py": "",
    "strategies/lib/means.py": (
        "from lib.windows import scaled_sum\n\n\n"
        "def mean(values):\n    return scaled_sum(values) / len(values)\n"
    ),
    "strategies/lib/windows.py": (
        "from lib.constants import SCALE\n\n\n"
        "def scaled_sum(values):\n    return float(sum(values)) * SCALE\n"
    ),
    "strategies/lib/constants.py": "SCALE = 1.0\n",
}


def batch_config(**sections: Any) -> dict[str, Any]:
    """Return a batch of four runs of two strategies on one bundle; sections replace its own.

    Runs get the basic report alone: each further page is a second of every test.
    """
    config: dict[str, Any] = {
        "reports": {"kinds": ["basic"]},
        "bundles": {"prices": {**PRICES}},
        "defaults": {"commission": {"model": "per_dollar", "cost": 0.001}, "benchmark": "AAA"},
        "batch": {
            "sma": {
                "strategy": "strategies/sma.py",
                "bundle": "prices",
                "symbols": ["AAA"],
                "start": "2020-01-02",
                "end": "2020-12-25",
                "params": {"fast": 5, "slow": 20},
            },
            "sma-grid": {"extends": "sma", "grid": {"fast": [3, 5, 8]}},
            "hold": {
                "strategy": "strategies/hold.py",
                "bundle": "prices",
                "start": "2020-01-02",
                "end": "2020-12-25",
            },
        },
    }
    return {**config, **sections}


@dataclass
class Project:
    """A project folder and what is asked of it."""

    root: Path
    first_output: str = ""
    python: str = sys.executable

    @classmethod
    def make(cls, root: Path, config: dict[str, Any] | None = None) -> "Project":
        root.mkdir(parents=True, exist_ok=True)
        for name in ("Snakefile", "workflow", "scripts", "profiles", "environment.yml"):
            (root / name).symlink_to(REPOSITORY / name)
        project = cls(root)
        project.write("strategies/sma.py", SMA)
        project.write("strategies/hold.py", HOLD)
        for name, text in LIBRARY.items():
            project.write(name, text)
        write_prices(root / "prices", sessions=260)
        project.configure(config or batch_config())
        return project

    @property
    def store(self) -> Path:
        return self.root / "backtests"

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def configure(self, config: dict[str, Any], name: str = "config/config.yaml") -> None:
        self.write(name, yaml.safe_dump(config, sort_keys=False))

    def config(self) -> dict[str, Any]:
        values: dict[str, Any] = yaml.safe_load((self.root / "config/config.yaml").read_text())
        for entry in values["batch"].values():
            for key in ("start", "end"):
                if key in entry:
                    entry[key] = str(entry[key])
        return values

    def start(self, *arguments: str, cores: int = 2, **options: Any) -> "subprocess.Popen[str]":
        command = [self.python, "-m", "snakemake", "--cores", str(cores), *arguments]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def plain_call(self) -> str:
        """Run snakemake and its jobs as a user does, each a process begun anew."""
        process = self.start()
        output, _ = process.communicate(timeout=forked_calls.TIME_LIMIT)
        assert process.returncode == 0, output
        return output

    def snakemake(self, *arguments: str, cores: int = 2, status: int | None = 0) -> str:
        """Run snakemake and return what it said; `status` None accepts any exit status."""
        if self.python == sys.executable:
            call = ["--cores", str(cores), *arguments]
            found, output = forked_calls.snakemake(
                call, self.root, _environment(), warm.interpreter()
            )
        else:
            process = self.start(*arguments, cores=cores)
            output, _ = process.communicate(timeout=forked_calls.TIME_LIMIT)
            found = process.returncode
        assert status is None or found == status, output
        return output

    def backtrail(self, *arguments: str, status: int = 0) -> str:
        python = warm.interpreter() if self.python == sys.executable else self.python
        result = subprocess.run(
            [python, "-m", "backtrail.cli", *arguments],
            cwd=self.root,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=420,
            check=False,
        )
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout if status == 0 else result.stdout + result.stderr

    def backtrail_json(self, *arguments: str, status: int = 0) -> Any:
        output = self.backtrail(*arguments, "--json", status=status)
        return json.loads(output)

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return every manifest by backtest id."""
        return {
            path.parent.name: json.loads(path.read_bytes())
            for path in sorted(self.store.glob("2*/run.json"))
        }

    def run_ids(self) -> list[str]:
        return sorted(path.name for path in self.store.glob("2*"))

    def named(self, name: str) -> Path:
        """Return the newest run directory that has a name."""
        matches = [
            key for key, manifest in self.runs().items() if name in manifest["labels"]["names"]
        ]
        assert matches, f"no run is named {name}: {self.runs().keys()}"
        return self.store / max(matches)

    def checksums(self, *ids: str) -> dict[str, str]:
        """Return the sha256 of every file of the given runs, all by default."""
        return {
            path.relative_to(self.store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for run in (ids or self.run_ids())
            for path in sorted((self.store / run).rglob("*"))
            if path.is_file()
        }

    def temporary_files(self) -> list[str]:
        """Return what no finished store contains."""
        return [
            path.relative_to(self.root).as_posix()
            for top in ("backtests", "bundles")
            for path in (self.root / top).rglob("*")
            if "tmp~" in path.name
            or path.name in {".lock", ".catalog.lock"}
            or ".building" in str(path)
        ]


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "PYTEST"))}
    return {**kept, "PYTHONPATH": ""}


def nothing_to_do(output: str) -> bool:
    """Say whether a call of snakemake executed no job."""
    return "Nothing to be done" in output


def kill_group(process: "subprocess.Popen[str]") -> None:
    """Kill a process and everything in its group, as a lost machine would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
