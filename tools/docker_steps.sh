#!/usr/bin/env bash
# docker_steps.sh [PYTHON]: do what the Dockerfile says, in a fresh folder and virtual environment, and then use the
# result as its user. For machines without a container engine. Instructions are read from the Dockerfile itself, so
# that the two cannot differ; left out, and said so, is what would change this machine (apt-get).
set -euo pipefail

PYTHON=${1:-python3}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FILE=${DOCKERFILE:-$ROOT/Dockerfile}
PLACE=$(mktemp -d)
trap 'rm -rf "$PLACE"' EXIT
chmod 755 "$PLACE"

say() { printf 'docker-steps: %s\n' "$*"; }
refuse() { printf 'error: %s\n' "$*" >&2; exit 2; }

# One instruction per line: no comments, continued lines joined.
instructions() {
  sed -e '/^[[:space:]]*#/d' -e '/^[[:space:]]*$/d' "$1" | sed -e ':a' -e '/\\$/N' -e 's/\\\n[[:space:]]*/ /' -e 'ta'
}

# Below $PLACE, as an absolute path of the container; names that stay, such as ./, stay.
inside() { case $1 in /*) printf '%s' "$PLACE$1" ;; *) printf '%s' "$1" ;; esac; }

ENTRY='' AS=()
mkdir -p "$PLACE/tmp" && chmod 1777 "$PLACE/tmp"
while read -r WORD REST; do
  case $WORD in
    FROM)
      "$PYTHON" -m venv --copies "$PLACE/usr"
      PATH="$PLACE/usr/bin:$PATH"
      say "$REST: here $("$PYTHON" --version)"
      ;;
    ARG) ;; # from the environment, if it is there
    ENV)
      for PAIR in $REST; do
        export "${PAIR%%=*}=$(inside "${PAIR#*=}")"
      done
      ;;
    WORKDIR) mkdir -p "$PLACE$REST" && cd "$PLACE$REST" ;;
    COPY)
      read -ra PARTS <<<"$REST"
      LAST=$((${#PARTS[@]} - 1))
      for SOURCE in "${PARTS[@]:0:LAST}"; do
        git -C "$ROOT" check-ignore -q "$SOURCE" && refuse "COPY $SOURCE: git ignores it"
        cp -rT "$ROOT/$SOURCE" "$(inside "${PARTS[LAST]%/}")$([[ ${PARTS[LAST]} == */ ]] && printf '/%s' "$SOURCE")"
      done
      find . -name __pycache__ -type d -prune -exec rm -rf {} +
      ;;
    RUN)
      if [[ $REST == apt-get* ]]; then
        say "left out, it would change this machine: RUN $REST"
      else
        say "RUN $REST"
        bash -euc "$REST" </dev/null >"$PLACE/log" 2>&1 || { cat "$PLACE/log"; refuse "RUN $REST failed"; }
      fi
      ;;
    USER)
      if [ "$(id -u)" = 0 ] && setpriv --reuid "${REST%:*}" --regid "${REST#*:}" --clear-groups "$PLACE/usr/bin/python" -c '' 2>/dev/null; then
        AS=(setpriv --reuid "${REST%:*}" --regid "${REST#*:}" --clear-groups)
        say "as user $REST"
      else
        say "as $(id -un): another user cannot use $PYTHON of this machine"
      fi
      ;;
    ENTRYPOINT) ENTRY=$("$PYTHON" -c 'import json, sys; print(*json.loads(sys.argv[1]))' "$REST") ;;
    CMD) ;;
    *) refuse "$FILE: this script knows no instruction $WORD" ;;
  esac
done < <(instructions "$FILE")

[ -n "$ENTRY" ] || refuse "$FILE has no ENTRYPOINT"
use() { say "$ENTRY $*" && ${AS[@]+"${AS[@]}"} env TMPDIR="$PLACE/tmp" $ENTRY "$@" </dev/null; }
use --help >"$PLACE/log"
use doctor --device cpu
printf 'smiles,name\nCCO,ethanol\nc1ccccc1O,phenol\nno molecule,typo\n' >few.csv
use embed few.csv --out vectors.npz --conformers none
use build few.csv --out few --conformers none
[ -s vectors.npz ] && [ -s few/rejected.csv ] || refuse "no results in the working folder"
say "all steps worked"
