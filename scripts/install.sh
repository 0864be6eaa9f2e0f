# `./run install` and `./run uninstall`. Sourced by ./run.
#   PREFIX   where the programs go (default /usr/local)
#   DESTDIR  a staging folder for packaging: nothing of the running system is touched
#   PROFILE  release (default) or debug, for trying units out without a second build

PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
PROFILE=${PROFILE:-release}
programs="headframe headframe-signer headframe-codec headframe-bench"
# Units in /etc would hide those of a distribution package; this folder is meant for what an administrator builds.
units=/usr/local/lib/systemd/system
sysusers=/usr/lib/sysusers.d
tmpfiles=/usr/lib/tmpfiles.d

# Into a staging folder no root is needed.
put() { if [ -n "$DESTDIR" ]; then "$@"; else as_root "$@"; fi; }
systemd_runs() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && have systemctl; }

install_build() {
  local flags=(--locked -p headframe -p headframe-guard -p headframe-codec -p headframe-bench --bins
    --features headframe-codec/vulkan)
  [ "$PROFILE" = debug ] || flags+=(--release)
  step "building ($PROFILE)" build-install cargo build "${flags[@]}"
}

install_headframe() {
  local name work
  [ -n "${SKIP_BUILD:-}" ] || { setup && install_build; }
  [ -n "$DESTDIR" ] || may_be_root || die "install needs root: run it as root or with sudo, or give DESTDIR="
  for name in $programs; do
    [ -x "$target/$PROFILE/$name" ] || { [ "$name" = headframe-bench ] && continue; die "$target/$PROFILE/$name is not built"; }
    put install -D -m 0755 "$target/$PROFILE/$name" "$DESTDIR$PREFIX/bin/$name.new"
    # A rename: a program that runs keeps its old file, a crash in between leaves a whole one.
    put mv -f "$DESTDIR$PREFIX/bin/$name.new" "$DESTDIR$PREFIX/bin/$name"
  done
  work=$(mktemp -d)
  for name in systemd/*.service; do
    sed "s#/usr/local/#$PREFIX/#g" "$name" >"$work/$(basename "$name")"
    put install -D -m 0644 "$work/$(basename "$name")" "$DESTDIR$units/$(basename "$name")"
  done
  rm -rf "$work"
  put install -D -m 0644 systemd/sysusers.d/headframe.conf "$DESTDIR$sysusers/headframe.conf"
  put install -D -m 0644 systemd/tmpfiles.d/headframe.conf "$DESTDIR$tmpfiles/headframe.conf"
  for name in docs/operating.md LICENSE LICENSE-MIT LICENSE-APACHE; do
    put install -D -m 0644 "$name" "$DESTDIR$PREFIX/share/doc/headframe/$(basename "$name")"
  done
  if [ -e "$DESTDIR/etc/headframe/headframe.toml" ]; then
    put install -m 0644 systemd/headframe.toml "$DESTDIR/etc/headframe/headframe.toml.new"
    say "kept /etc/headframe/headframe.toml; the new default is beside it as headframe.toml.new"
  else
    put install -D -m 0644 systemd/headframe.toml "$DESTDIR/etc/headframe/headframe.toml"
  fi
  if [ -z "$DESTDIR" ] && have systemd-sysusers; then
    as_root systemd-sysusers "$sysusers/headframe.conf"
    as_root systemd-tmpfiles --create "$tmpfiles/headframe.conf"
  fi
  if systemd_runs; then as_root systemctl daemon-reload; fi
  say "installed to $DESTDIR$PREFIX/bin; next steps: $PREFIX/share/doc/headframe/operating.md"
}

uninstall_headframe() {
  local name
  [ -n "$DESTDIR" ] || may_be_root || die "uninstall needs root: run it as root or with sudo"
  if systemd_runs; then as_root systemctl disable --now headframe.service headframe-signer.service 2>/dev/null || true; fi
  for name in $programs; do put rm -f "$DESTDIR$PREFIX/bin/$name"; done
  for name in systemd/*.service; do put rm -f "$DESTDIR$units/$(basename "$name")"; done
  put rm -f "$DESTDIR$sysusers/headframe.conf" "$DESTDIR$tmpfiles/headframe.conf"
  put rm -rf "$DESTDIR$PREFIX/share/doc/headframe"
  if systemd_runs; then as_root systemctl daemon-reload; fi
  say "removed. Kept: /etc/headframe, /var/lib/headframe, /var/lib/headframe-signer (the key and its guard database)"
  say "and the user headframe. Never delete the guard database while the key has work on chain."
}
