# `./run test [part...]`: the parts, their order, the summary. Sourced by ./run.
# A part is a function part_NAME; what it prints goes to target/run/test-NAME.log, from which results are counted. What it leaves
# in target/run/test-NAME.table is shown at the end.

export CARGO_TERM_COLOR=never
# The end of a log is what a failure shows: the words of an error, not forty lines of stack behind them.
export RUST_BACKTRACE=0
all_parts="fmt docs units deny ptx clippy contracts unit vulkan e2e"
skipped_status=77

part_fmt() { cargo fmt --all --check -- --color never; }
part_docs() { scripts/check-docs; }
part_units() { scripts/check-units; }
part_deny() {
  cargo deny --version >/dev/null 2>&1 || {
    echo "cargo-deny is not installed: cargo install --locked cargo-deny"
    return $skipped_status
  }
  cargo deny --locked check bans licenses sources
}
part_contracts() {
  [ -x contracts/test.sh ] || {
    echo "contracts/test.sh is not there"
    return 1
  }
  (cd contracts && ./test.sh)
}
# The checked-in PTX is what its sources make, and NVIDIA's assembler takes it for every generation of cards.
part_ptx() {
  scripts/ptx --check || return 1
  local status=0
  scripts/ptx --assemble || status=$?
  # Without a network the first half has been checked all the same.
  [ $status -ne $skipped_status ] || echo "NVIDIA's assembler could not be had: only the PTX's text was checked"
  return $status
}
# Builds everything once, through clippy's compiler: the parts that follow run what this built, and clippy's own way would be a
# build of its own. A crate with warnings says how many.
part_clippy() {
  # The Solidity compiler takes minutes on one processor: it works beside this, and its errors are the next part's.
  (cd contracts && ./test.sh --build >/dev/null 2>&1) &
  local status=0
  cargo test "${everything[@]}" --no-run || status=$?
  wait $!
  local found
  # Each with what stands below it, to the next empty line.
  found=$(awk '/^warning: .* generated [0-9]+ warning/ { print; next } /^warning: / { said = 1 } said; /^$/ { said = 0 }' \
    "$logs/test-clippy.log")
  if grep -qE '^warning: .* generated [0-9]+ warning' <<<"$found"; then
    printf '%s\n' "$found"
    status=1
  fi
  return $status
}
# Everything but what has a part of its own. The tests of a package bring its programs, which those of others start.
part_unit() {
  local name own=(lib bins)
  for name in $(test_targets); do
    case $name in e2e_* | vulkan) ;; *) own+=("$name") ;; esac
  done
  local status=0
  cargo test "${everything[@]}" --no-run --message-format json-render-diagnostics |
    HEADFRAME_EXPECT_HEADERS=yes scripts/run-tests "${own[@]}" || status=$?
  cargo test "${everything[@]}" --doc --no-fail-fast || status=$?
  return $status
}
# The names of all test targets, each once.
test_targets() {
  cargo metadata --no-deps --format-version 1 --locked | python3 -c '
import json, sys
targets = (target for package in json.load(sys.stdin)["packages"] for target in package["targets"])
print(*sorted({target["name"] for target in targets if "test" in target["kind"]}))'
}
part_vulkan() { cargo test "${everything[@]}" --test vulkan -- --nocapture; }
part_e2e() {
  # With all tests, so that all programs are there.
  cargo test "${everything[@]}" --tests --no-run && cargo test "${everything[@]}" --test 'e2e_*' --no-fail-fast
}
# Encoder sessions shared by 32 ladders in real time, over doubles. Not among all parts: it wants a machine with nothing else
# to do.
part_stories() {
  HEADFRAME_STORIES=1 cargo test "${everything[@]}" --test session_stories -- --nocapture --test-threads 1
}

# Not among all parts, because it takes long: every kernel for graphics cards, CUDA's source compiled for the host and the
# compute shaders on Mesa's software driver, against the definition, $HEADFRAME_CASES random cases each or 100 000. Without
# that driver it fails.
part_exact() {
  local cases=${HEADFRAME_CASES:-100000} said=$logs/exact.said table=$logs/test-exact.table status=0 kernel
  HEADFRAME_CASES=$cases cargo test "${everything[@]}" --test agree -- cuda_host:: --nocapture | tee "$said" || status=$?
  HEADFRAME_CASES=$cases HEADFRAME_EXPECT_DEVICE=yes \
    cargo test "${everything[@]}" --test vulkan -- random_ --nocapture | tee -a "$said" || status=$?
  for kernel in cuda\ {scaling,errors,windows,conversions,hashes} vulkan\ {scaling,"errors and windows",conversions,turns,hashes}; do
    grep -oE "exact: $kernel: $cases random cases .*" "$said" >>"$table" || {
      echo "$kernel was not tried on $cases random cases"
      status=1
    }
  done
  return $status
}

# Not among all parts, because they take long. Each slashing rule is taken out in turn, and its test has to fail.
part_guard-rules() { scripts/guard-rules; }
# Two hundred kill -9 of a signer under load; an ordinary run of the unit tests has eight.
part_guard-kill() {
  HEADFRAME_KILLS=200 cargo test "${everything[@]}" --test guard -- kill_9_loses_nothing_acknowledged --nocapture
}
# The disk of a signer under load loses its power, two hundred times or $HEADFRAME_CUTS. As root: sudo drops the environment.
part_guard-power() {
  may_be_root || {
    echo "root is needed to mount file systems"
    return $skipped_status
  }
  cargo build "${everything[@]}" --bin headframe-signer --example power || return 1
  as_root scripts/guard-power "${HEADFRAME_CUTS:-200}" --programs "$target/debug" --json "$logs/guard-power.jsonl" |
    tee "$logs/test-guard-power.table"
  return "${PIPESTATUS[0]}"
}

# count LOG: "passed failed skipped" as the runners say it: cargo test, forge, or our own "N passed, N failed".
count() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
    /^test result: / { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1); if ($i ~ /^ignored/) s += $(i-1) } }
    /^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3 }
    END { print p + 0, f + 0, s + 0 }'
}

run_tests() {
  local keep_going=no parts=() part status worst=0 started p f s passed=0 failed=0 skipped=0 rows=() begun=$SECONDS
  for part in "$@"; do
    case $part in
      --keep-going | -k) keep_going=yes ;;
      *)
        declare -F "part_$part" >/dev/null || { say "run: no test part '$part'; there are: $all_parts"; exit 2; }
        parts+=("$part")
        ;;
    esac
  done
  # shellcheck disable=SC2206
  [ ${#parts[@]} -gt 0 ] || parts=($all_parts)
  setup test
  for part in "${parts[@]}"; do
    if [ $worst -ne 0 ] && [ $keep_going = no ]; then
      rows+=("$(printf '  %-10s not run' "$part")")
      continue
    fi
    started=$SECONDS status=0
    say "test $part"
    test_part "$part" || status=$?
    read -r p f s < <(count "$logs/test-$part.log")
    if [ $status -eq $skipped_status ]; then
      s=$((s + 1))
      rows+=("$(printf '  %-10s skipped: %s' "$part" "$(tail -n 1 "$logs/test-$part.log")")")
    elif [ $status -eq 0 ]; then
      [ "$p" -gt 0 ] || p=1
      rows+=("$(printf '  %-10s ok      %5d s  %5d passed' "$part" $((SECONDS - started)) "$p")")
    else
      worst=1
      [ "$f" -gt 0 ] || f=1
      rows+=("$(printf '  %-10s FAILED  %5d s  %5d passed, %d failed; see %s' "$part" $((SECONDS - started)) "$p" "$f" "$logs/test-$part.log")")
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done
  for part in "${parts[@]}"; do
    [ ! -s "$logs/test-$part.table" ] || printf '\n%s\n' "$(cat "$logs/test-$part.table")"
  done
  printf '\n%s\n' "part       result"
  printf '%s\n' "${rows[@]}"
  printf 'in %d s; logs in %s\n' $((SECONDS - begun)) "$logs"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  return $worst
}

# As `step`, but a skipped part is not a failure.
test_part() {
  local part=$1
  skip_is_fine() {
    local status=0
    "part_$part" || status=$?
    [ $status -ne $skipped_status ] || touch "$logs/test-$part.skipped"
    [ $status -eq $skipped_status ] || return $status
  }
  mkdir -p "$logs"
  rm -f "$logs/test-$part.skipped" "$logs/test-$part.table"
  step "$part" "test-$part" skip_is_fine || return 1
  if [ -e "$logs/test-$part.skipped" ]; then return $skipped_status; fi
}
