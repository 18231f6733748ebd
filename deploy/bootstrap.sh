#!/usr/bin/env bash
# Makes .venv and installs the pinned dependencies into it, each only when something changed: bootstrap.sh runtime|development
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
    case ${1:-} in
        runtime)
            install_locked requirements.txt
            bring_restic
            ;;
        development) install_locked requirements-dev.txt ;;
        *) fail "usage: deploy/bootstrap.sh runtime|development" ;;
    esac
}

# The copy of the lock beside the installed packages says what they were installed from.
install_locked() {
    local lock=$1 stamp=.venv/installed-$1
    if [ -x .venv/bin/python ] && cmp -s "$lock" "$stamp"; then return; fi
    if ! [ -x .venv/bin/python ] || ! [ -x .venv/bin/pip ]; then make_venv; fi
    say "Installing the packages of $lock (once)"
    .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r "$lock"
    cp "$lock" "$stamp"
}

make_venv() {
    local python
    python=$(find_python)
    say "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

find_python() {
    local python without_venv=
    for python in python3.13 python3.12 python3.11 python3; do
        # Asking it beats finding it: a version manager's shim can be on PATH and refuse to run.
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$python" -c 'import ensurepip, venv' 2>/dev/null; then echo "$python"; return; fi
        without_venv=$python
    done
    [ -z "$without_venv" ] || fail "$without_venv has no venv module: apt-get install python3-venv, or your system's package of that name"
    fail "Mainstay needs Python 3.11 or later: apt-get install python3 python3-venv, or python.org"
}

# Backups need restic; everything else goes on without it. A failed attempt is not repeated at every start.
bring_restic() {
    local attempted=.venv/restic-attempted
    if command -v restic >/dev/null; then return; fi
    if [ ! -e "$attempted" ] && command -v apt-get >/dev/null; then
        : >"$attempted"
        if [ "$(id -u)" = 0 ]; then
            install_restic env
        elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            install_restic sudo -n
        fi
    fi
    command -v restic >/dev/null || say "No restic here, so backups stay off: apt-get install restic, or restic.net"
}

install_restic() {
    local apt=("$@" DEBIAN_FRONTEND=noninteractive timeout 180 apt-get -qq -o DPkg::Lock::Timeout=60 -o Acquire::Retries=1)
    say "Installing restic (once)"
    "${apt[@]}" install -y restic </dev/null >/dev/null 2>&1 ||
        { "${apt[@]}" update && "${apt[@]}" install -y restic; } </dev/null >/dev/null 2>&1 || true
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

main "$@"
