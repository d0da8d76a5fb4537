#!/usr/bin/env bash
# kafka-library.sh: fetches Apache Kafka 4 into the user's cache, once for each version in background/; the last line
# it prints is the folder with its jars.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

for tool in java mvn; do
    command -v "$tool" >/dev/null || {
        printf '%s is missing; on Debian or Ubuntu: sudo apt-get install -y default-jdk-headless maven\n' "$tool" >&2
        exit 1
    }
done

export COMPAT_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/techleet"
bash ../compat/library.sh >&2
printf '%s\n' "$COMPAT_CACHE/libraries/kafka-4"
