#!/usr/bin/env bash
# Prints instructions per call, counted by callgrind: larder and its peers, and the ratio of larder's to theirs.
#   benches/instructions.sh [PATTERN]      only cases whose name matches
# Two counts are run and subtracted, so that start-up and filling don't count.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "instructions.sh: 'valgrind' is missing: apt-get install valgrind"; exit 1; }

cargo build --quiet --release --package larder-benches --bin instructions
bin="${CARGO_TARGET_DIR:-target}/release/instructions"
few=10000 many=50000

count() { # CASE PEER COUNT
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bin" "$@" 2>&1 >/dev/null |
    sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p'
}

printf '%-30s %10s' case larder
printf ' %24s' concurrent_cached cached moka quick_cache
echo
"$bin" | cut -f1 | uniq | { grep -e "${1:-.}" || true; } | while IFS= read -r case; do
  printf '%-30s' "$case"
  ours=
  for peer in larder concurrent_cached cached moka quick_cache; do
    "$bin" | grep -xF "$case"$'\t'"$peer" >/dev/null || continue
    a=$(count "$case" "$peer" "$few") b=$(count "$case" "$peer" "$many")
    each=$(( (b - a) / (many - few) ))
    if [ "$peer" = larder ]; then
      ours=$each
      printf ' %10s' "$each"
    else
      printf ' %24s' "$each ($(awk "BEGIN { printf \"%.2f\", $ours / $each }"))"
    fi
  done
  echo
done
