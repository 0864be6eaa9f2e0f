# `./run setup [test]`: installs what is missing and nothing else. Sourced by ./run. Debian 12 is what it is written and
# tested for; elsewhere it names what is missing. Already there: well under a second.

rust_version=1.95.0

# What is looked for (a command, or a test), and the Debian package that has it.
missing_packages() {
  need() { "${@:2}" >/dev/null 2>&1 || printf '%s\n' "$1"; }
  need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
  need curl have curl
  need git have git
  need build-essential have cc
  need build-essential have make
  need pkg-config have pkg-config
  need libavcodec-dev pkg-config --exists libavcodec
  need libavformat-dev pkg-config --exists libavformat
  need libavutil-dev pkg-config --exists libavutil
  need libclang-dev has_libclang
  need ffmpeg have ffmpeg
  need nodejs have node
  need npm have npm
  need python3-pip python_has_pip
  need xz-utils have xz
  if [ "${1:-}" = test ]; then
    need chromium have chromium
    need mesa-vulkan-drivers has_vulkan_software_driver
    need systemd have systemd-analyze
    need clang-14 have clang++-14
    need faketime has_faketime
    need iproute2 have ip
    need nftables test -x /usr/sbin/nft
    need libffmpeg-nvenc-dev test -e /usr/include/ffnvcodec/nvEncodeAPI.h
  fi
}
# libclang-cpp, which Mesa brings along, is another library.
has_libclang() {
  local dir
  for dir in /usr/lib/llvm-*/lib /usr/lib/*/ "${LIBCLANG_PATH:-/nowhere}"; do
    compgen -G "$dir/libclang.so*" >/dev/null || compgen -G "$dir/libclang-[0-9]*.so*" >/dev/null || continue
    return 0
  done
  return 1
}
has_faketime() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; }
# Without starting Python: a start costs more than everything else here together.
python_has_pip() { have python3 && { have pip3 || have pip || [ -d /usr/lib/python3/dist-packages/pip ]; }; }

# The kernels' shaders are tested on Mesa's software driver.
has_vulkan_software_driver() { compgen -G '/usr/share/vulkan/icd.d/lvp_icd.*.json' >/dev/null; }

setup() {
  case "${1:-}" in '' | test) ;; *) die "setup knows only 'test', not '$1'" ;; esac
  setup_packages "${1:-}"
  setup_rust
  setup_npm contracts
  setup_npm agent/media/player
  if [ "${1:-}" = test ]; then setup_npm agent/tests/e2e/player; fi
}

setup_packages() {
  local list words
  list=$(missing_packages "$1" | sort -u)
  [ -n "$list" ] || return 0
  words=$(tr '\n' ' ' <<<"$list")
  have apt-get || die "missing here: $words(Debian names). This machine has no apt-get: install them by its own means."
  say "installing Debian packages: $words"
  may_be_root || die "root is needed for that. As root: apt-get update && apt-get install -y --no-install-recommends $words"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  step "reading package lists" apt-update as_root "${apt[@]}" update ||
    die "apt-get update failed: is the network up, and are the addresses in /etc/apt right?"
  # shellcheck disable=SC2086
  step "installing packages" apt-install as_root "${apt[@]}" install -y --no-install-recommends $words ||
    die "apt-get install failed: see target/run/apt-install.log; 'apt-get -f install' as root mends a half-done one"
  hash -r
  list=$(missing_packages "$1" | sort -u | tr '\n' ' ')
  [ -z "$list" ] || die "still missing after the installation: $list"
}

# rust_is_enough: a compiler of at least the pinned version with rustfmt and clippy.
rust_is_enough() {
  local version
  version=$(rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ -n "$version" ] && [ "$(printf '%s\n%s\n' "$rust_version" "${version%%-*}" | sort -V | head -n 1)" = "$rust_version" ] &&
    have cargo && have cargo-fmt && have cargo-clippy
}

setup_rust() {
  rust_is_enough && return
  if have rustup; then
    rustup run "$rust_version" rustc --version >/dev/null 2>&1 ||
      step "installing Rust $rust_version beside the present one (rustup)" rustup \
        rustup toolchain install "$rust_version" --profile minimal -c rustfmt -c clippy ||
      die "rustup could not install Rust $rust_version; see target/run/rustup.log"
    export RUSTUP_TOOLCHAIN=$rust_version
    rust_is_enough && return
    die "Rust $rust_version lacks rustfmt or clippy: rustup component add --toolchain $rust_version rustfmt clippy"
  fi
  say "Rust $rust_version or later is missing (Debian 12 has 1.63). Getting it with the installer of the Rust project,"
  say "https://rustup.rs: into ${CARGO_HOME:-$HOME/.cargo} and ${RUSTUP_HOME:-$HOME/.rustup} of this user, nothing outside;"
  say "your shell's start files stay as they are. 'rustup self uninstall' takes it away again."
  step "installing Rust $rust_version" rustup sh -c \
    "curl --proto '=https' --tlsv1.2 -fsSL --retry 3 https://sh.rustup.rs -o '$logs/rustup-init.sh' &&
     sh '$logs/rustup-init.sh' -y --no-modify-path --profile minimal -c rustfmt -c clippy --default-toolchain $rust_version" ||
    die "Rust could not be installed. Install $rust_version or later with rustfmt and clippy in another way and try again."
  hash -r
  rust_is_enough || die "the installed Rust is not found: is ${CARGO_HOME:-$HOME/.cargo}/bin writable and not shadowed?"
}

# setup_npm FOLDER: what its package-lock.json names, when that changed since the last time.
setup_npm() {
  local folder=$1 stamp=$1/node_modules/.installed-lock
  [ -e "$folder/package-lock.json" ] || return 0
  cmp -s "$folder/package-lock.json" "$stamp" && return
  step "npm packages of $folder" "npm-${folder//\//-}" npm_install "$folder" ||
    die "npm could not install the packages of $folder: is the npm registry reachable? (see $logs/npm-${folder//\//-}.log)"
  cp "$folder/package-lock.json" "$stamp"
}
npm_install() {
  npm --prefix "$1" ci --ignore-scripts --no-audit --no-fund --loglevel=warn || return 1
  [ "$1" != contracts ] || foundry_tools
}

# npm leaves out an optional package, without a word, when its `engines` wants a newer Node than Debian 12 has (18). The
# tools of Foundry are native programs that need no Node at all: they are fetched by name and held to the lock file.
foundry_tools() {
  local tool name arch
  case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) return 0 ;; esac
  for tool in anvil forge cast; do
    name=@foundry-rs/$tool-linux-$arch
    [ -x "contracts/node_modules/$name/bin/$tool" ] || npm_unpack contracts "$name" || return 1
  done
}
npm_unpack() {
  local folder=$1 name=$2 spec version integrity work
  spec=$(node -e 'const p = require(process.argv[1]).packages["node_modules/" + process.argv[2]]; if (p) console.log(p.version, p.integrity)' \
    "$root/$folder/package-lock.json" "$name")
  [ -n "$spec" ] || { echo "$folder/package-lock.json does not name $name"; return 0; }
  read -r version integrity <<<"$spec"
  work=$(mktemp -d "$logs/npm.XXXXXX")
  npm pack --silent "$name@$version" --pack-destination "$work" >/dev/null &&
    node -e 'const [want, file] = process.argv.slice(1), h = want.split("-")[0];
      const got = h + "-" + require("crypto").createHash(h).update(require("fs").readFileSync(file)).digest("base64");
      if (got !== want) { console.error(file + ": " + got + ", but the lock file says " + want); process.exit(1); }' \
      "$integrity" "$work"/*.tgz &&
    tar -xzf "$work"/*.tgz -C "$work" && mkdir -p "$folder/node_modules/${name%/*}" &&
    mv "$work/package" "$folder/node_modules/$name" && chmod +x "$folder/node_modules/$name"/bin/* && rm -rf "$work"
}
