#!/usr/bin/env bash
# Prints how many locked instructions a call executes: atomic read-modify-writes, each of which takes a cache line away from
# all other cores. Counted by callgrind, so the machine's noise doesn't matter. What follows from them for many cores is
# computed in docs/performance.md, "Many cores".
#   benches/shared_writes.sh [PATTERN]      only cases whose name matches
# Two counts are run and subtracted, so that start-up and filling don't count. x86-64 only.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in valgrind objdump; do
  command -v "$tool" >/dev/null || { echo "shared_writes.sh: '$tool' is missing: apt-get install valgrind binutils"; exit 1; }
done

cargo build --quiet --release --package larder-benches --bin instructions
bin="${CARGO_TARGET_DIR:-target}/release/instructions"
few=10000 many=50000
work=$(mktemp -d "${TMPDIR:-/tmp}/shared-writes.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Where they are: with a `lock` prefix, or `xchg` with memory, which locks by itself.
objdump --disassemble --no-show-raw-insn "$bin" |
  awk '$2 == "lock" || ($2 ~ /^xchg/ && /\(/) { sub(":", "", $1); print "0x" $1 }' > "$work/locked"

count() { # CASE PEER COUNT
  valgrind --tool=callgrind --dump-instr=yes --compress-pos=no --compress-strings=no \
    --callgrind-out-file="$work/out" "$bin" "$@" >/dev/null 2>&1
  awk -v bin="$(basename "$bin")" '
    NR == FNR { locked[$1]; next }
    /^ob=/ { ours = $0 ~ "/" bin "$" }
    /^calls=/ { skip = 1; next }
    skip { skip = 0; next }
    ours && $1 in locked { sum += $3 }
    END { print sum + 0 }' "$work/locked" "$work/out"
}

printf '%-30s' case
printf ' %18s' larder concurrent_cached cached moka quick_cache
echo
"$bin" | cut -f1 | uniq | { grep -e "${1:-.}" || true; } | while IFS= read -r case; do
  printf '%-30s' "$case"
  for peer in larder concurrent_cached cached moka quick_cache; do
    if "$bin" | grep -qxF "$case"$'\t'"$peer"; then
      a=$(count "$case" "$peer" "$few") b=$(count "$case" "$peer" "$many")
      printf ' %18s' "$(awk "BEGIN { printf \"%.2f\", ($b - $a) / ($many - $few) }")"
    else
      printf ' %18s' -
    fi
  done
  echo
done
