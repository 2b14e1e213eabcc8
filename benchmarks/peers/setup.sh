#!/usr/bin/env bash
# Make .peers-venv in the root of the repository and install the peers into it; safe to run again.
# PYTHON names the interpreter to build it with (python3), TORCH the version of torch.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="$(cd "$here/../.." && pwd)/.peers-venv"
python="${PYTHON:-python3}"
torch="${TORCH:-2.13.0}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip install --quiet)

"${pip[@]}" "torch==$torch"
bare="$(mktemp)"
rest="$(mktemp)"
trap 'rm -f "$bare" "$rest"' EXIT
grep '# no dependencies' "$here/requirements.txt" >"$bare"
grep -v '# no dependencies' "$here/requirements.txt" >"$rest"
"${pip[@]}" --no-deps -r "$bare"
"${pip[@]}" -r "$rest" 2> >(grep -v -e 'is ignored: it is neither' -e 'requires .*, which is not installed' \
  -e 'dependency resolver does not currently' >&2 || true)

PYTHONPATH="$here/stubs" "$venv/bin/python" "$here/worker.py" --check
