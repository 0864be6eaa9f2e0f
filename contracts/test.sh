#!/usr/bin/env bash
# Builds and tests the contracts with the pinned tools. The last line reads "N passed, N failed".
#   --deep       many more fuzz runs and longer invariant walks
#   --gas        also print what each function costs (whole transactions, cold storage)
#   --artifacts  write artifacts/*.json, vectors/*.json and snapshots/*.json anew instead of failing when they are stale
#   --coverage   only measure what the tests of the fraud proofs reach of src/steps, which has to be all of it
set -uo pipefail
cd "$(dirname "$0")" || exit 2

artifacts=check coverage=no
forge_args=()
for arg in "$@"; do
  case "$arg" in
    --deep) export FOUNDRY_PROFILE=deep ;;
    --gas) forge_args+=(--gas-report) ;;
    --artifacts) artifacts=write; export HEADFRAME_WRITE_VECTORS=true ;;
    --coverage) coverage=yes ;;
    *) echo "unknown option: $arg (known: --deep --gas --artifacts --coverage)" >&2; exit 2 ;;
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

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ "$coverage" = yes ]; then
  "$forge" coverage --match-path 'test/*/Steps.t.sol' --no-match-contract StepsGas --no-match-coverage '(node_modules|test|script)' | tee "$log"
  # Lines, statements, branches and functions of every file.
  passed=$(grep -cE '^\| src/steps/.*(100\.00%.*){4}' "$log")
  failed=$(grep -E '^\| src/steps/' "$log" | grep -vcE '(100\.00%.*){4}')
  [ "$passed" -gt 0 ] || failed=$((failed + 1))
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
fi
# The gas of each fraud proof is held to snapshots/.
[ "$artifacts" = write ] || export FORGE_SNAPSHOT_CHECK=true
# --isolate runs each call as a transaction of its own: warm storage would flatter the gas figures.
"$forge" test --isolate "${forge_args[@]}" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

summary=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^Ran [0-9]+ test suites? in ' | tail -1)
passed=$(sed -nE 's/.* ([0-9]+) tests passed.*/\1/p' <<<"$summary")
failed=$(sed -nE 's/.* ([0-9]+) failed.*/\1/p' <<<"$summary")
passed=${passed:-0} failed=${failed:-0}
# A build that fails, or a run without any test, is a failure too.
if { [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; } || [ "$passed" -eq 0 ]; then failed=$((failed + 1)); fi
if [ "$failed" -eq 0 ] && [ "$artifacts" = write ]; then tools/artifacts write || failed=1; fi
if tools/artifacts check; then passed=$((passed + 1)); else failed=$((failed + 1)); fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
