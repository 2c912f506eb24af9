# Sourced by every script of deploy/ and tests/: where things are, how progress is told.
set -euo pipefail

TG_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
# Everything a running installation writes. Another folder gives another, independent installation.
TG_VAR="${TIDEGATE_VAR:-$TG_ROOT/var}"
TG_BIN="${TIDEGATE_BIN:-$TG_ROOT/build/release/bin}"
TG_STARTED=$SECONDS

tg_say()  { printf '\033[1m[%4ss]\033[0m %s\n' "$((SECONDS - TG_STARTED))" "$*" >&2; }
tg_fail() { printf '\033[1;31m[%4ss] %s\033[0m\n' "$((SECONDS - TG_STARTED))" "$*" >&2; exit 1; }

# Runs a command, shows its last line now and then, and the whole end of its output if it fails.
tg_run_logged() {
  local what="$1" log="$2"; shift 2
  mkdir -p "$(dirname "$log")"
  tg_say "$what"
  "$@" >"$log" 2>&1 &
  local pid=$! beat=0
  while kill -0 "$pid" 2>/dev/null; do
    read -r -t 1 <> <(:) || true
    beat=$((beat + 1))
    if [ $((beat % 15)) -eq 0 ]; then tg_say "  ... $(tail -n 1 "$log" | tr -d '\r' | cut -c1-110)"; fi
  done
  if ! wait "$pid"; then
    tail -n 60 "$log" >&2
    tg_fail "$what: failed; the whole output is in $log"
  fi
}

# sudo only where needed.
tg_as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    tg_fail "this needs root: run it as root or install sudo"
  fi
}

# PostgreSQL refuses to run as root, so root's installations run it as the user the Debian package made.
tg_pg_user() { if [ "$(id -u)" -eq 0 ]; then echo postgres; else id -un; fi; }
tg_pg_prefix() {
  if [ "$(id -u)" -eq 0 ]; then echo "setpriv --reuid=postgres --regid=postgres --init-groups"; fi
}
