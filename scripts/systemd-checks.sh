# The checks of scripts/systemd-in-namespace, sourced by it: `inside COMMAND` runs in the booted system.

rpc=http://127.0.0.1:8545
prop() { inside systemctl show -P "$2" "$1"; }
is() { [ "$(prop "$1" "$2")" = "$3" ]; }
status_field() { inside sed -n "s/^$2:[[:space:]]*//p" "/proc/$(prop "$1" MainPID)/status"; }
ready() { inside curl -fsS -m 2 http://127.0.0.1:7935/readyz; }
answers() { inside curl -fsS -m 2 -H 'content-type: application/json' -d '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}' $rpc; }
refused() { ! "$@" >/dev/null 2>&1; }
explain() { inside journalctl -q --no-pager -n 15 -u "$1" -o cat | sed 's/^/      /' >&2; }

# ---- install -------------------------------------------------------------------------------------------------------
inside ./run install 2>&1 | sed 's/^/  /' >&2
check "installed: programs, units, users, configuration" inside sh -c \
  'id headframe && test -x /usr/local/bin/headframe-codec && test -s /etc/headframe/headframe.toml &&
   systemctl cat headframe.service headframe-signer.service' >/dev/null
check "systemd finds nothing to say about the units" inside sh -c \
  '! systemd-analyze --man=no verify headframe.service headframe-signer.service 2>&1 | grep -i headframe'
inside systemctl start headframe-signer.service 2>/dev/null || true
check "without a key the signer says so and does not run" is headframe-signer.service ActiveState inactive

# ---- a chain to work against ---------------------------------------------------------------------------------------
inside systemd-run -q --unit=devnet -p WorkingDirectory="$root" /usr/local/bin/headframe devnet --port 8545 \
  --deployment /etc/headframe/deployment.json
check "headframe devnet serves a chain with the contracts" until_true 60 inside test -s /etc/headframe/deployment.json
check "the chain answers" until_true 10 answers
# The first of the dev chain's well-known accounts, which owns everything there.
inside sh -c 'umask 077; head -c 18 /dev/urandom | base64 >/etc/headframe/key-password
  echo ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80 |
    headframe keys import --name operator --password-file /etc/headframe/key-password - >/dev/null 2>&1'
check "the key is in /etc/headframe/keys, readable by root alone" inside sh -c \
  '[ "$(stat -c %a:%U /etc/headframe/keys/operator.json)" = 600:root ]'
inside sed -i -e "s#^rpc = \[\]#rpc = [\"$rpc\"]#" -e 's#^bond = .*#bond = "5_000_000_000_000_000_000_000"#' \
  -e 's#^service_uri = .*#service_uri = "http://127.0.0.1:8935"#' /etc/headframe/headframe.toml
check "the installed configuration is accepted" inside sh -c 'headframe config check --config /etc/headframe/headframe.toml >/dev/null'

# That account deployed the contracts: a rig takes an account with a past only when it is told to.
inside sh -c 'mkdir -p /etc/systemd/system/headframe.service.d
  printf "[Service]\nExecStart=\nExecStart=/usr/local/bin/headframe run --take-over-account --config /etc/headframe/headframe.toml\n" \
    >/etc/systemd/system/headframe.service.d/account.conf
  systemctl daemon-reload'

# ---- start ---------------------------------------------------------------------------------------------------------
began=$(date +%s%N)
inside systemctl start headframe-signer.service || explain headframe-signer.service
inside systemctl start headframe.service || explain headframe.service
say "        both started in $((($(date +%s%N) - began) / 1000000)) ms"
for unit in headframe-signer.service headframe.service; do
  check "$unit is active" is $unit ActiveState active
done
check "the node is ready (/readyz): stake bonded, in the active set" until_true 60 ready
inside systemctl --no-pager -n 4 status headframe-signer.service headframe.service 2>&1 | sed 's/^/      /' >&2 || true

# ---- confinement, as the kernel sees it ------------------------------------------------------------------------------
for unit in headframe-signer.service headframe.service; do
  check "$unit: no capability, system calls filtered, no new privileges" sh -c "[ '$(status_field $unit CapEff)' = 0000000000000000 ] &&
    [ '$(status_field $unit Seccomp)' = 2 ] && [ '$(status_field $unit NoNewPrivs)' = 1 ]"
done
# Commands as the unit's user in the namespaces of its process.
as() {
  local unit=$1 pid
  pid=$(prop "$unit" MainPID)
  shift
  inside nsenter -t "$pid" -m -n -S "$(inside id -u "$(prop "$unit" User)")" -- "$@"
}
check "the signer has no network but its own loopback" sh -c "[ \"$(as headframe-signer.service sh -c 'ls /sys/class/net; tail -n +3 /proc/net/dev | cut -d: -f1' 2>/dev/null | tr -d ' ' | sort -u | tr '\n' ' ')\" = 'lo ' ]"
check "the agent reads its configuration and writes its state" as headframe.service sh -c \
  'cat /etc/headframe/headframe.toml >/dev/null && touch /var/lib/headframe/.probe && rm /var/lib/headframe/.probe'
check "the agent cannot read the key, its password or the guard database" refused \
  as headframe.service sh -c 'cat /etc/headframe/keys/operator.json || cat /etc/headframe/key-password || ls /var/lib/headframe-signer'
check "the agent cannot write outside its state" refused as headframe.service sh -c 'touch /etc/headframe/x || touch /usr/x'
check "workers run as children of the agent" until_true 30 inside sh -c \
  "cat /proc/$(prop headframe.service MainPID)/task/*/children | tr ' ' '\n' | grep . | while read -r p; do cat /proc/\$p/comm; done | grep -q headframe-codec"

# ---- restart -------------------------------------------------------------------------------------------------------
for unit in headframe-signer.service headframe.service; do
  inside kill -9 "$(prop $unit MainPID)"
  check "$unit comes back after kill -9" until_true 30 is $unit NRestarts 1
  check "$unit is active again" until_true 60 is $unit ActiveState active
done
check "the node is ready again" until_true 60 ready
watchdog=$(prop headframe.service WatchdogUSec)
sleep 22
check "both outlive their watchdog ($watchdog) without a restart" sh -c "[ '$(prop headframe.service NRestarts)$(prop headframe-signer.service NRestarts)' = 11 ]"

# ---- a process that hangs ------------------------------------------------------------------------------------------
restarts() { echo "$(prop headframe-signer.service NRestarts)$(prop headframe.service NRestarts)"; }
for unit in headframe-signer.service headframe.service; do
  inside kill -STOP "$(prop $unit MainPID)"
  check "$unit: one that hangs misses its watchdog and is replaced" until_true 60 is $unit NRestarts 2
  check "$unit is active after it" until_true 60 is $unit ActiveState active
done
check "the node is ready after both" until_true 60 ready

# ---- a configuration that changes ----------------------------------------------------------------------------------
at() { inside curl -fsS -m 2 "http://127.0.0.1:7935/$1"; }
floor() { at status | grep -q "\"floor_wei_per_unit\":\"$1\""; }
reloaded() { at metrics | grep -qx "headframe_config_last_reload_successful $1"; }
inside cp /etc/headframe/headframe.toml /etc/headframe/before.toml
before=$(restarts)
inside sh -c 'sed -i "s/^price = .*/price = \"7654321\"/" /etc/headframe/headframe.toml'
inside systemctl reload headframe.service
check "a new price holds after a reload" until_true 10 floor 7654321
inside sh -c 'echo "no_such_key = 1" >>/etc/headframe/headframe.toml'
inside systemctl reload headframe.service
check "a configuration with a mistake is not taken" until_true 10 reloaded 0
check "... and the old one stays in force" floor 7654321
inside mv /etc/headframe/before.toml /etc/headframe/headframe.toml
inside systemctl reload headframe.service
check "a mended one is" until_true 10 reloaded 1
check "nothing was restarted for that" sh -c "[ '$(restarts)' = '$before' ]"

# ---- stop, and what must not restart --------------------------------------------------------------------------------
began=$(date +%s%N)
inside systemctl stop headframe.service || true
say "        the node stopped in $((($(date +%s%N) - began) / 1000000)) ms"
check "the node stops cleanly" is headframe.service Result success
inside sed -i 's/^window = 30/window = 1/' /etc/headframe/headframe.toml
inside systemctl start headframe.service 2>/dev/null || true
check "a bad configuration ends with 78" until_true 20 is headframe.service ExecMainStatus 78
sleep 3
check "... and systemd leaves it down" is headframe.service ActiveState failed
inside sed -i 's/^window = 1$/window = 30/' /etc/headframe/headframe.toml
inside systemctl stop headframe-signer.service || true
