#!/usr/bin/env bash
# Builds and tests the contracts with the pinned tools. The last line reads "N passed, N failed".
#   --ci         10,000 fuzz runs and 256 walks of 500 steps, with the same seeds each time; an hour or more
#   --deep       many more of both, with new seeds
#   --gas        write snapshots/*.json anew instead of failing when a cost has changed (whole transactions, cold storage)
#   --coverage   instead of testing: which lines and branches of src/ no test reaches; there may be none
#   --build      only build
#   --artifacts  write artifacts/*.json and vectors/*.json anew instead of failing when they are stale
# Checks of another kind, each instead of the tests; what they need is installed on demand below .venv/:
#   --slither [PATHS]     static analysis; every finding has to be explained in slither.json
#   --halmos [OPTIONS]    proofs of the pure arithmetic, test/proof, for all arguments
#   --mutate [N] [PATHS]  makes N single changes and sees whether a test notices each; tools/mutate says more
set -uo pipefail
cd "$(dirname "$0")" || exit 2

artifacts=check coverage=no build=no other=''
export FORGE_SNAPSHOT_CHECK=true
case "${1:-}" in --slither | --halmos | --mutate) other=tools/${1#--} && shift ;; esac
[ -n "$other" ] || for arg in "$@"; do
  case "$arg" in
    --ci) export FOUNDRY_PROFILE=ci ;;
    --deep)
      FOUNDRY_FUZZ_SEED=0x$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
      export FOUNDRY_PROFILE=deep FOUNDRY_FUZZ_SEED
      ;;
    --gas) export FORGE_SNAPSHOT_CHECK=false ;;
    --artifacts) artifacts=write; export HEADFRAME_WRITE_VECTORS=true ;;
    --coverage) coverage=yes ;;
    --build) build=yes ;;
    *) echo "unknown option: $arg (known: --ci --deep --gas --coverage --build --artifacts --slither --halmos --mutate)" >&2; exit 2 ;;
  esac
done

# npm carries forge for x86-64 only; elsewhere HEADFRAME_FORGE names one of the same version (1.7.1).
forge=${HEADFRAME_FORGE:-node_modules/@foundry-rs/forge-linux-amd64/bin/forge}
if [ ! -d node_modules/solc ] || [ ! -d node_modules/@openzeppelin ] || [ ! -x "$forge" ]; then
  npm ci --ignore-scripts || exit 2
fi
if [ ! -x "$forge" ]; then
  echo "no forge at $forge; on $(uname -m) name one of version 1.7.1 in HEADFRAME_FORGE" >&2
  exit 2
fi
export FOUNDRY_SOLC="$PWD/tools/solc" FOUNDRY_DISABLE_NIGHTLY_WARNING=1
[ -z "$other" ] || exec "$other" "$@"
[ "$build" = no ] || exec "$forge" build

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ "$coverage" = yes ]; then
  # Unoptimised, and without walks: they reach nothing that the other tests do not.
  "$forge" coverage --no-match-coverage '(node_modules|test)' --no-match-contract '(Invariants|Gas)$' --report summary |
    tee "$log"
  # Lines, statements, branches and functions of every file.
  passed=$(grep -cE '^\| src/.*(100\.00%.*){4}' "$log")
  failed=$(grep -E '^\| src/' "$log" | grep -vcE '(100\.00%.*){4}')
  [ "$passed" -gt 0 ] || failed=$((failed + 1))
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
fi
# The walks of the longer profiles are counted step by step, over all runs.
if [ "${FOUNDRY_PROFILE:-default}" != default ]; then
  mkdir -p cache && rm -f cache/walks && export HEADFRAME_COUNT_WALKS=true
fi
# --isolate runs each call as a transaction of its own: warm storage would flatter the gas figures.
"$forge" test --isolate 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

summary=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^Ran [0-9]+ test suites? in ' | tail -1)
passed=$(sed -nE 's/.* ([0-9]+) tests passed.*/\1/p' <<<"$summary")
failed=$(sed -nE 's/.* ([0-9]+) failed.*/\1/p' <<<"$summary")
passed=${passed:-0} failed=${failed:-0}
# A build that fails, or a run without any test, is a failure too.
if { [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; } || [ "$passed" -eq 0 ]; then failed=$((failed + 1)); fi
if [ "$failed" -eq 0 ] && [ "$artifacts" = write ]; then tools/artifacts write || failed=1; fi
if [ -n "${HEADFRAME_COUNT_WALKS:-}" ]; then
  if tools/walks cache/walks; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi
if tools/artifacts check; then passed=$((passed + 1)); else failed=$((failed + 1)); fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
