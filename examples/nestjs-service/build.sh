#!/usr/bin/env bash
# Installs and compiles the service in a folder of the user's cache, so that nothing of npm is in the repository;
# the last line it prints is that folder. Run again it does only what has changed.
#   build.sh [--without-sqlite]    without SQLite nothing but TypeScript is compiled
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly NODE_MAJOR_MIN=20
readonly CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/techleet"

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

for tool in node npm; do
    command -v "$tool" >/dev/null || fail "$tool is missing; on Debian or Ubuntu: sudo apt-get install -y nodejs npm"
done
node_major=$(node -p 'process.versions.node.split(".")[0]')
((node_major >= NODE_MAJOR_MIN)) || fail "node is version $node_major; NestJS 11 needs $NODE_MAJOR_MIN or newer"

case ${1:-} in
    --without-sqlite) folder=$CACHE/nestjs-service-without-sqlite omit=(--omit=optional) ;;
    '') folder=$CACHE/nestjs-service omit=() ;;
    *) fail "unknown: $1" ;;
esac

mkdir -p "$folder"
# Two at a time would install over each other.
exec 9>"$folder/lock"
if command -v flock >/dev/null; then flock 9; fi

# What is installed depends on these two files and on the version of node that native code is compiled for.
wanted=$(cat package.json package-lock.json; node --version)
if [[ ! -f $folder/installed || $(<"$folder/installed") != "$wanted" ]]; then
    rm -rf "$folder/installed" "$folder/node_modules"
    cp package.json package-lock.json "$folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error "${omit[@]}") >&2
    printf '%s\n' "$wanted" >"$folder/installed"
fi
rm -rf "$folder/src" "$folder/dist"
cp -r src tsconfig.json "$folder"
(cd "$folder" && node node_modules/typescript/bin/tsc)
printf '%s\n' "$folder"
