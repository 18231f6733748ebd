#!/usr/bin/env bash
# Mainstay under Docker Compose: mainstay.sh [--production] COMMAND
#   up   build, bring up, wait until everything answers
#   …    any other command of `docker compose`, such as down, ps, logs, exec
set -euo pipefail
cd "$(dirname "$0")"

main() {
    local overlay=development
    if [ "${1:-}" = --production ]; then overlay=production; shift; fi
    files=(-f compose.yaml -f "compose.$overlay.yaml")
    # What is particular to one machine, and untracked: another network for builds, other limits, one more service.
    [ ! -e local.yaml ] || files+=(-f local.yaml)
    [ -z "${DEPLOY_ALSO:-}" ] || files+=(-f "$DEPLOY_ALSO")
    case ${1:-} in
        up) shift; make_secrets "$overlay"; bring_up "$@" ;;
        *) make_secrets "$overlay"; exec docker compose "${files[@]}" "$@" ;;
    esac
}

make_secrets() {
    local folder=${DEPLOY_SECRETS:-secrets}
    if [ "$1" = production ]; then
        ./secrets.sh "$folder"
        ./production-secrets.sh "$folder"
    else
        ./secrets.sh "$folder" remote
    fi
}

# Builds what changed, then waits until everything answers; what has to run once before (migrations, topics) fails it.
bring_up() {
    export DEPLOY_REVISION=${DEPLOY_REVISION:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}
    docker compose "${files[@]}" build --quiet
    docker compose "${files[@]}" up --detach --wait --remove-orphans "$@" \
        edge contracts-worker billing-worker backup-worker notify-worker
}

main "$@"
