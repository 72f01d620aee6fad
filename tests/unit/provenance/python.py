"""What Python itself imports when a project's strategy is imported: the judge of capture."""

import ast
import subprocess
import sys
from pathlib import Path

from backtrail.provenance.closure import import_roots

# As the child of a run does it: both folders first on the path, a strategy inside its package.
# It imports nothing but sys, so that a project may have a module of any name.
_PROGRAM = """
import sys
root, roots, name = sys.argv[1:]
sys.path[:0] = roots.split(":")
sys.dont_write_bytecode = True
failure = None
try:
    __import__(name)
except BaseException as error:
    failure = f"{type(error).__name__}: {error}"
files = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
print(repr((sorted(f[len(root) + 1 :] for f in files if f.startswith(root + "/")), failure)))
"""


def imported_files(root: Path, entry: str) -> tuple[list[str], str | None]:
    """Return the files below a root that importing an entry executes, and how that failed."""
    path = Path(entry).with_suffix("")
    in_package = len(path.parts) > 1 and (root / entry).with_name("__init__.py").exists()
    name = ".".join(path.parts) if in_package else path.name
    real = root.resolve()
    roots = ":".join(str((real / folder).resolve()) for folder in import_roots(entry))
    result = subprocess.run(
        [sys.executable, "-S", "-P", "-c", _PROGRAM, str(real), roots, name],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    files, failure = ast.literal_eval(result.stdout.splitlines()[-1])
    return files, failure
