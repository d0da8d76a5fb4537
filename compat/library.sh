#!/usr/bin/env bash
# library.sh: fetches Apache Kafka 4 into the cache, once for each version in background/.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../background" && pwd)
LIBRARY_DIR=$COMPAT_CACHE/libraries
export LIBRARY_DIR

say() {
    printf '== %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# shellcheck source=background/native/parts.sh
. "$HERE/native/parts.sh"
fetch_library kafka-4
