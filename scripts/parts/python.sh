# The repository and the Python that has its requirements: sets ROOT and PYTHON, gives midstream().
# Needs refusal.sh.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# MIDSTREAM_PYTHON where it is set, the repository's own environment, else python3 (the image has no other).
PYTHON=${MIDSTREAM_PYTHON:-$ROOT/.venv/bin/python}
if [ -z "${MIDSTREAM_PYTHON:-}" ] && [ ! -x "$PYTHON" ]; then
  PYTHON=python3
fi
command -v "$PYTHON" >/dev/null || refuse "there is no $PYTHON: install Python >= 3.11, or set MIDSTREAM_PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  refuse "$PYTHON is too old: Midstream needs Python >= 3.11 (MIDSTREAM_PYTHON names another)"

# python_module MODULE ...: from the folder where the caller is, so that relative paths stay what they are.
# -P: a folder of that name there is not taken for ours.
python_module() {
  PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} "$PYTHON" -P -m "$@"
}

# midstream COMMAND ...
midstream() {
  python_module midstream "$@"
}

# become MODULE ...: that module in the place of the script, which signals then reach and whose exit code it is.
become() {
  PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" -P -m "$@"
}
