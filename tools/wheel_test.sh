#!/usr/bin/env bash
# wheel_test.sh PYTHON...: build wheel and sdist, install each into fresh environments of these Pythons, and use them
# there, away from this checkout. A Python that is not installed is named and left out; none at all is an error.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
PIP=(-m pip --disable-pip-version-check --no-input)

say() { printf 'wheel-test: %s\n' "$*"; }

# Prints what `moleblend doctor` says of an installation of FILE for PYTHON, and predicts with a fitted model.
try_out() {
  local python=$1 file=$2 place="$WORK/env"
  rm -rf "$place"
  "$python" -m venv "$place"
  "$place/bin/python" "${PIP[@]}" install --quiet --no-compile -c "$ROOT/requirements.txt" "$file"
  cd "$WORK"
  "$place/bin/moleblend" doctor --folder "$WORK" --device cpu
  printf 'smiles,y\nCCO,1.5\nCCN,1.0\nc1ccccc1,2.0\nCC(=O)O,0.5\nCCCC,2.5\nCCCl,1.8\nOCCO,0.1\nCC#N,0.3\n' >few.csv
  "$place/bin/moleblend" build few.csv --out few --target-columns y --conformers none --overwrite --split random
  "$place/bin/moleblend" embed default few.csv --out vectors.npz --conformers none --overwrite
  cd "$ROOT"
}

for FOUND in "$@"; do
  command -v "$FOUND" >/dev/null && "$FOUND" -c '' 2>/dev/null && FIRST=${FIRST:-$FOUND}
done
[ -n "${FIRST:-}" ] || { echo "error: none of $* is installed" >&2; exit 2; }

say "building with $FIRST"
"$FIRST" -m venv "$WORK/build"
"$WORK/build/bin/python" "${PIP[@]}" install --quiet build
cp -r "$ROOT"/{moleblend_plugin,pyproject.toml,setup.py,README.md,LICENSE} "$WORK/" 2>/dev/null
mkdir "$WORK/tree" && mv "$WORK"/{moleblend_plugin,pyproject.toml,setup.py,README.md,LICENSE} "$WORK/tree/"
"$WORK/build/bin/python" -m build --outdir "$WORK/dist" "$WORK/tree" >"$WORK/build.log" 2>&1 || { cat "$WORK/build.log"; exit 1; }

for PYTHON in "$@"; do
  if ! "$PYTHON" -c '' 2>/dev/null; then
    say "$PYTHON is not installed here: left out"
    continue
  fi
  for FILE in "$WORK"/dist/*.whl "$WORK"/dist/*.tar.gz; do
    [[ $FILE == *.tar.gz && $PYTHON != "$FIRST" ]] && continue # the sdist once: it gives the same wheel
    say "$("$PYTHON" --version), $(basename "$FILE")"
    try_out "$PYTHON" "$FILE"
  done
done
say "all worked"
