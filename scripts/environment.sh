# Sourced by the other scripts: makes .venv with the locked packages of one lock file.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Print the first Python that the package supports.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
            2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Say in one line why an installation failed; the whole story is in the log.
explain() {
    local log=$1
    if grep -qi "ensurepip" "$log"; then
        fail "this Python has no venv module (Debian: apt install python3-venv) (log: $log)"
    elif grep -qi "no space left" "$log"; then
        fail "the disk is full; free some space below $root and run this again (log: $log)"
    elif grep -qiE "connection|resolve|network|timed out|no matching distribution" "$log"; then
        fail "packages could not be downloaded; is the network up? (log: $log)"
    fi
    fail "packages could not be installed: $(grep -i error "$log" | tail -n 1 || true) (log: $log)"
}

# use_environment LOCK: make .venv hold what scripts/locks/LOCK.txt names.
use_environment() {
    local lock="scripts/locks/$1.txt" python stamp wanted log
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    [ -n "${HOME:-}" ] || export HOME="$root/.venv"
    wanted=$(cat "$lock" pyproject.toml | cksum)
    stamp=.venv/installed-$1
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        python=$(find_python) || fail "needs Python 3.11, 3.12 or 3.13; set PYTHON=/path/to/it"
        log=$(mktemp "${TMPDIR:-/tmp}/fastdescent-install.XXXXXX") || fail "the disk is full"
        if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
            echo "== making .venv with $("$python" --version)"
            rm -rf .venv
            "$python" -m venv .venv >"$log" 2>&1 || explain "$log"
        fi
        echo "== installing the locked packages of $lock"
        .venv/bin/python -m pip install --quiet --require-hashes --requirement "$lock" \
            >"$log" 2>&1 || explain "$log"
        .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable . \
            >"$log" 2>&1 || explain "$log"
        rm -f "$log"
        echo "$wanted" >"$stamp" || fail "the disk is full"
    fi
    export PATH="$root/.venv/bin:$PATH"
}
