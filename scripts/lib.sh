# Shared by ./run and scripts/*: words to the person, quiet steps with a log, root only where needed. Sourced, bash.

target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
logs=$target/run
# One choice of packages and features for all that is checked, so that nothing is compiled twice; with the compute shaders,
# a feature that programs are built without, because it is slow to compile.
everything=(--workspace --features headframe-codec/vulkan --locked)
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
# Clippy's compiler makes what rustc makes and lints on the way: checks, tests and the demo share one build.
export RUSTC_WORKSPACE_WRAPPER=clippy-driver

say() { printf '%s\n' "$*" >&2; }
die() {
  say "run: $*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# step TITLE LOG COMMAND...: runs the command with its output in target/run/LOG.log. Shows that it lives: on a terminal
# the seconds and the last line, elsewhere a line every 30 s. On failure what says why; returns the command's status.
step() {
  local title=$1 log=$logs/$2.log watcher status=0 started=$SECONDS
  shift 2
  mkdir -p "$logs"
  : >"$log"
  if [ -t 2 ]; then watch_terminal "$title" "$log" & else watch_lines "$title" "$log" & fi
  watcher=$!
  "$@" </dev/null >>"$log" 2>&1 || status=$?
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  [ -t 2 ] && printf '\r\033[K' >&2
  if [ $status -eq 0 ]; then
    [ $((SECONDS - started)) -ge 2 ] && say "  ok    $title ($((SECONDS - started)) s)"
    return 0
  fi
  say "  FAIL  $title, status $status after $((SECONDS - started)) s; from $log:"
  failures "$log" | sed 's/^/  | /' >&2
  return $status
}

# failures LOG: what says why it failed. Tests that failed are far from the end where others ran after them: their own
# words, as cargo test repeats them ("---- NAME stdout ----"), else the end of the log. Of a long one the middle is left out:
# an assertion stands at the beginning, the error that a test returns at the end.
failures() {
  local said
  said=$(awk '
    function flush(i) {
      if (lines > 60) print "[" lines - 60 " lines are left out]"
      for (i = (lines > 60 ? lines - 39 : 21); i <= lines; i++) print kept[i]
      lines = 0
    }
    /^---- .* stdout ----$/ { flush(); shown = 1 }
    /^(failures:|test result: )/ { flush(); shown = 0 }
    shown { kept[++lines] = $0; if (lines <= 20) print }
    END { flush() }
  ' "$1" | head -n 400 || true)
  if [ -n "$said" ]; then
    printf '%s\n' "$said"
    grep -E '^test .* \.\.\. FAILED$|^error: test failed|^error: [0-9]+ target' "$1" || true
  else
    tail -n 40 "$1"
  fi
}

watch_terminal() {
  local begun=$SECONDS width line
  width=$(tput cols 2>/dev/null || echo 100)
  while sleep 1; do
    line="  ....  $1 ($((SECONDS - begun)) s) $(tail -n 1 "$2" 2>/dev/null | tr -d '\r\033' | cut -c1-200)"
    printf '\r\033[K%s' "${line:0:$((width - 1))}" >&2
  done
}

watch_lines() {
  local begun=$SECONDS
  while sleep 30; do
    say "  ....  $1 ($((SECONDS - begun)) s): $(tail -n 1 "$2" 2>/dev/null | cut -c1-100)"
  done
}

# as_root COMMAND...: as root, directly or through sudo. may_be_root asks for the password while the terminal is ours.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n -- "$@"; fi
}
may_be_root() {
  [ "$(id -u)" -eq 0 ] && return
  have sudo && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }
}
