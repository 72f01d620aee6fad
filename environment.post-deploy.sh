#!/bin/sh
# Snakemake runs this once in every environment that it makes of environment.yml (--sdm conda): the
# dependencies are there then, and backtrail itself is not. It is linked, not copied: jobs must run
# the very code by which the Snakefile computed their keys, also after an edit.
set -eu

: "${CONDA_PREFIX:?no conda environment is active; snakemake --sdm conda runs this script}"
: "${BACKTRAIL_SOURCE:?the Snakefile of this workflow says where its source is}"
python="$CONDA_PREFIX/bin/python"

if [ ! -f "$BACKTRAIL_SOURCE/pyproject.toml" ] || [ ! -d "$BACKTRAIL_SOURCE/src/backtrail" ]; then
    echo "there is no source of backtrail in $BACKTRAIL_SOURCE: use the workflow's own folder," >&2
    echo "with pyproject.toml and src/, not a part of it" >&2
    exit 1
fi
"$python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation \
    --editable "$BACKTRAIL_SOURCE"

# Each job is a process of its own and would compile again what is not compiled here; a source that
# others own may refuse it, and some packages ship templates that are no Python.
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
env -u PYTHONDONTWRITEBYTECODE "$python" -m compileall -qq -j 0 \
    "$packages" "$BACKTRAIL_SOURCE/src" >/dev/null 2>&1 || true
