#!/usr/bin/env bash
# How long 100 cached functions take to compile, with larder and with the `cached` crate: the same functions, sync and async,
# some of them fallible, each with a ttl. Dependencies are built first; then each crate alone is built again and again, in
# turns, without incremental compilation. Prints the least CPU time (user and system) of all turns, and the ratio.
#
# usage: benches/compile_time.sh [turns] [functions]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD turns=${1:-5} functions=${2:-100}
work=$(mktemp -d "${TMPDIR:-/tmp}/compile-time.XXXXXX")
trap 'rm -rf "$work"' EXIT
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}

# $1: the crate's name; $2: the line over each function; $3: what text arguments are.
generate() {
  mkdir -p "$work/$1/src"
  cat > "$work/$1/Cargo.toml" <<TOML
[package]
name = "compile-time-$1"
version = "0.0.0"
edition = "2024"

[dependencies]
$4
TOML
  {
    echo "#![allow(dead_code)]"
    echo "use $3;"
    for ((i = 0; i < functions; i++)); do
      echo "$2"
      case $((i % 4)) in
        0) echo "pub fn f$i(id: u64, more: u32) -> u64 { id + u64::from(more) + $i }" ;;
        1) echo "pub fn f$i(name: String) -> Result<String, String> { if name.is_empty() { Err(\"empty\".into()) } else { Ok(name + \"$i\") } }" ;;
        2) echo "pub async fn f$i(id: u64) -> u64 { std::future::ready(id).await + $i }" ;;
        3) echo "pub async fn f$i(name: String, id: u64) -> Result<Vec<u64>, String> { let id = std::future::ready(id).await; if name.is_empty() { Err(name) } else { Ok(vec![id, $i]) } }" ;;
      esac
    done
  } > "$work/$1/src/lib.rs"
}

generate larder '#[cached(ttl = "60s")]' "larder::cached" "larder = { path = \"$root\" }"
generate cached '#[cached(ttl_secs = 60)]' "cached::macros::cached" 'cached = { version = "4.1", features = ["async"] }'
generate plain '' "std::string::String as Text" ''
cat > "$work/Cargo.toml" <<TOML
[workspace]
members = ["larder", "cached", "plain"]
resolver = "3"
TOML
cp Cargo.lock "$work/Cargo.lock"
cd "$work"
sed -i 's/^use std::string::String as Text;$//' plain/src/lib.rs

# CPU time of a command in milliseconds.
cpu() {
  local TIMEFORMAT='%U %S' times
  times=$({ time "$@" >/dev/null 2>"$work/log"; } 2>&1) || { cat "$work/log" >&2; exit 1; }
  awk '{ printf "%d\n", ($1 + $2) * 1000 }' <<<"$times"
}

echo "$functions functions, $turns turns; rustc $(rustc --version | cut -d' ' -f2)"
printf '%-8s %10s %10s %10s %16s\n' "" larder cached plain "larder / cached"
for command in check build; do
  cargo "$command" --quiet --workspace
  declare -A least=()
  for ((turn = 0; turn < turns; turn++)); do
    for crate in larder cached plain; do
      touch "$crate/src/lib.rs"
      time=$(cpu cargo "$command" --quiet -p "compile-time-$crate")
      if [ -z "${least[$crate]:-}" ] || [ "$time" -lt "${least[$crate]}" ]; then least[$crate]=$time; fi
    done
  done
  awk -v what="$command" -v l="${least[larder]}" -v c="${least[cached]}" -v p="${least[plain]}" \
    'BEGIN { printf "%-8s %7d ms %7d ms %7d ms %16.2f\n", what, l, c, p, l / c }'
done
