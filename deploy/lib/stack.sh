# Sourced after house.sh. One installation: private PostgreSQL and Redis, billing, scheduler, gateway. The scheduler
# starts the workers. Everything lives under $TG_VAR; sockets under $TG_SOCKETS (a socket's path must be short).
#
# Ports: TIDEGATE_HTTP_PORT (8080), TIDEGATE_GRPC_PORT (8081); TIDEGATE_REST_PORT (8082) is for administrators, deployments
# over HTTP, on loopback always; billing and scheduler listen on unix sockets; the admin ports (/metrics /livez /readyz)
# are TIDEGATE_ADMIN_PORT (9101) and the next three. Loopback only unless
# TIDEGATE_LISTEN says otherwise.

tg_hash() { printf '%s' "$TG_VAR" | sha256sum | cut -c1-8; }
TG_SOCKETS="${TIDEGATE_SOCKETS:-/tmp/tidegate-$(tg_hash)}"
TG_LISTEN="${TIDEGATE_LISTEN:-127.0.0.1}"
TG_HTTP_PORT="${TIDEGATE_HTTP_PORT:-8080}"
TG_GRPC_PORT="${TIDEGATE_GRPC_PORT:-8081}"
TG_REST_PORT="${TIDEGATE_REST_PORT:-8082}"
TG_ADMIN_PORT="${TIDEGATE_ADMIN_PORT:-9101}"
TG_REGION="${TIDEGATE_REGION:-local}"
TG_DEPLOYMENT="${TIDEGATE_DEPLOYMENT:-tidegate}"
# TIDEGATE_TLS=NAME,...: the two public ports speak TLS, with a certificate for these names and for this machine.
TG_SCHEME=http
if [ -n "${TIDEGATE_TLS:-}" ]; then TG_SCHEME=https; fi
TG_RUN="$TG_VAR/run"
TG_LOG="$TG_VAR/log"
TG_CONF="$TG_VAR/conf"
TG_SECRETS="$TG_VAR/secrets"

tg_pg_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

# PostgreSQL's own user must be able to enter its data folder; a clone under /root is closed to it.
tg_pg_data() {
  local folder="$TG_VAR/pg"
  if [ "$(id -u)" -eq 0 ] && ! $(tg_pg_prefix) test -x "$TG_VAR"; then folder="/var/lib/tidegate/$(tg_hash)/pg"; fi
  echo "$folder"
}

tg_secret() { # NAME BYTES: made once, readable by the owner only
  local file="$TG_SECRETS/$1"
  [ -s "$file" ] || (umask 077; head -c "$2" /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$file")
}

tg_prepare_folders() {
  mkdir -p "$TG_VAR" "$TG_RUN" "$TG_LOG" "$TG_CONF" "$TG_SECRETS" "$TG_VAR/journal" "$TG_VAR/workers" "$TG_VAR/redis"
  chmod 700 "$TG_SECRETS"
  mkdir -p "$TG_SOCKETS/pg"
  if [ "$(id -u)" -eq 0 ]; then chown postgres "$TG_SOCKETS/pg"; fi
  tg_secret pepper 32
  tg_secret cluster_token 32
  tg_secret cache_salt 32
}

tg_alive() { # NAME: its supervisor is running
  local file="$TG_RUN/$1.supervisor"
  [ -s "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null
}

tg_supervise() { # NAME COMMAND...
  local name="$1"; shift
  if tg_alive "$name"; then return; fi
  # A supervisor that was killed leaves its child running: two of one process must never run.
  local orphan; orphan="$(cat "$TG_RUN/$name.pid" 2>/dev/null || true)"
  if [ -n "$orphan" ] && kill -TERM "$orphan" 2>/dev/null; then
    tg_say "$name: its supervisor was gone; stopping the orphan $orphan"
    tg_wait_for "$name (orphan) to stop" 40 eval "! kill -0 $orphan"
  fi
  rm -f "$TG_RUN/$name.stop" "$TG_RUN/$name.supervisor"
  setsid nohup "$TG_ROOT/deploy/lib/supervise" "$name" "$TG_RUN" "$TG_LOG/$name.log" "$@" >/dev/null 2>&1 </dev/null &
  tg_wait_for "$name's supervisor" 10 test -s "$TG_RUN/$name.supervisor"
}

tg_wait_for() { # WHAT SECONDS COMMAND...
  local what="$1" limit="$2"; shift 2
  local deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || tg_fail "waited ${limit} s for $what; look at $TG_LOG"
    read -r -t 0.1 <> <(:) || true
  done
}

tg_psql() { "$(tg_pg_bin)/psql" -X -q -v ON_ERROR_STOP=1 -h "$TG_SOCKETS/pg" -U tidegate "$@"; }

tg_start_postgres() {
  local data bin; data="$(tg_pg_data)"; bin="$(tg_pg_bin)"
  [ -n "$bin" ] || tg_fail "PostgreSQL is not installed (package postgresql)"
  if [ ! -s "$data/PG_VERSION" ]; then
    tg_say "PostgreSQL: making the data folder $data"
    mkdir -p "$data"; if [ "$(id -u)" -eq 0 ]; then chown postgres "$data"; fi; chmod 700 "$data"
    $(tg_pg_prefix) "$bin/initdb" -D "$data" -U tidegate -A trust -E UTF8 --locale=C --no-instructions >"$TG_LOG/initdb.log" 2>&1 \
      || tg_fail "initdb failed; see $TG_LOG/initdb.log"
    # Only the owner of the socket folder's path can reach this server; it listens on no network address.
    $(tg_pg_prefix) tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$TG_SOCKETS/pg'
unix_socket_permissions = 0700
shared_buffers = 256MB
max_connections = 60
synchronous_commit = on
log_line_prefix = '%m [%p] '
CONF
    if [ "$(id -u)" -eq 0 ]; then sed -i 's/^unix_socket_permissions.*/unix_socket_permissions = 0777/' "$data/postgresql.conf"; fi
  fi
  tg_supervise postgres $(tg_pg_prefix) "$bin/postgres" -D "$data"
  tg_wait_for PostgreSQL 60 tg_psql -d postgres -c 'select 1'
  ln -sfn "$data" "$TG_VAR/pg-data"
  for database in tidegate_billing tidegate_scheduler; do
    tg_psql -d postgres -tAc "select 1 from pg_database where datname='$database'" | grep -q 1 \
      || tg_psql -d postgres -c "create database $database"
  done
  # Who serves owns nothing; dashboards and people read with tidegate_reader. Rights: billing/adapters/roles.cc.
  tg_psql -d postgres -tAc "select 1 from pg_roles where rolname = 'tidegate_billing'" | grep -q 1 \
    || tg_psql -d postgres <<'SQL'
create role tidegate_serve nologin;
create role tidegate_read nologin;
create role tidegate_billing login in role tidegate_serve;
create role tidegate_reader login in role tidegate_read;
SQL
}

tg_start_redis() {
  cat >"$TG_CONF/redis.conf" <<CONF
port 0
unixsocket $TG_SOCKETS/redis.sock
unixsocketperm 700
dir $TG_VAR/redis
save ""
appendonly no
daemonize no
CONF
  tg_supervise redis redis-server "$TG_CONF/redis.conf"
  tg_wait_for Redis 20 redis-cli -s "$TG_SOCKETS/redis.sock" ping
}

tg_write_config() {
  [ -s "$TG_SECRETS/admin_key" ] || (umask 077; "$TG_BIN/tidegate" admin-key mint >"$TG_SECRETS/admin_key")
  # The gateway signs receipts, billing the roots of their days. Another key in a file is a rotation.
  for key in receipt_key root_key; do
    [ -s "$TG_SECRETS/$key" ] || (umask 077; "$TG_BIN/tidegate" receipt-key mint >"$TG_SECRETS/$key" 2>/dev/null)
  done
  cat >"$TG_CONF/billing.conf" <<CONF
grpc.listen = unix:$TG_SOCKETS/billing.sock
admin.listen = $TG_LISTEN:$TG_ADMIN_PORT
pg.dsn = host=$TG_SOCKETS/pg user=tidegate_billing dbname=tidegate_billing
pg.owner_dsn = host=$TG_SOCKETS/pg user=tidegate dbname=tidegate_billing
pg.role = tidegate_serve
secrets.pepper_file = $TG_SECRETS/pepper
secrets.cluster_token_file = $TG_SECRETS/cluster_token
secrets.admin_key_file = $TG_SECRETS/admin_key
secrets.root_key_file = $TG_SECRETS/root_key
deployment.name = $TG_DEPLOYMENT
CONF
  cat >"$TG_CONF/scheduler.conf" <<CONF
grpc.listen = unix:$TG_SOCKETS/scheduler.sock
rest.listen = 127.0.0.1:$TG_REST_PORT
admin.listen = $TG_LISTEN:$((TG_ADMIN_PORT + 1))
pg.dsn = host=$TG_SOCKETS/pg user=tidegate dbname=tidegate_scheduler
catalogue.dir = $TG_ROOT/models/catalogue
models.dir = $TG_ROOT/models
local.worker_binary = $TG_BIN/tidegate-worker
local.run_dir = $TG_VAR/workers
local.socket_dir = $TG_SOCKETS
local.cluster_token_file = $TG_SECRETS/cluster_token
local.billing_address = unix:$TG_SOCKETS/billing.sock
billing.address = unix:$TG_SOCKETS/billing.sock
region = $TG_REGION
secrets.cluster_token_file = $TG_SECRETS/cluster_token
secrets.admin_key_file = $TG_SECRETS/admin_key
CONF
  cat >"$TG_CONF/gateway.conf" <<CONF
http.listen = $TG_LISTEN:$TG_HTTP_PORT
grpc.listen = $TG_LISTEN:$TG_GRPC_PORT
admin.listen = $TG_LISTEN:$((TG_ADMIN_PORT + 2))
gateway.id = gateway-1
region = $TG_REGION
scheduler.address = unix:$TG_SOCKETS/scheduler.sock
billing.address = unix:$TG_SOCKETS/billing.sock
redis.address = unix:$TG_SOCKETS/redis.sock
journal.dir = $TG_VAR/journal
secrets.pepper_file = $TG_SECRETS/pepper
secrets.cluster_token_file = $TG_SECRETS/cluster_token
secrets.cache_salt_file = $TG_SECRETS/cache_salt
secrets.receipt_key_file = $TG_SECRETS/receipt_key
deployment.name = $TG_DEPLOYMENT
CONF
  if [ "$TG_SCHEME" = https ]; then
    "$TG_BIN/tidegate" certs mint --dir "$TG_SECRETS/tls" --hosts "$TIDEGATE_TLS" >/dev/null 2>&1 \
      || tg_fail "cannot make certificates in $TG_SECRETS/tls for '$TIDEGATE_TLS'; try: tidegate certs mint"
    cat >>"$TG_CONF/gateway.conf" <<CONF
http.tls_cert_file = $TG_SECRETS/tls/public.crt
http.tls_key_file = $TG_SECRETS/tls/public.key
grpc.tls_cert_file = $TG_SECRETS/tls/public.crt
grpc.tls_key_file = $TG_SECRETS/tls/public.key
CONF
  fi
}

tg_ready() { curl -fsS -m 2 "http://$TG_LISTEN:$1/readyz"; }

tg_start_stack() {
  tg_prepare_folders
  tg_say "starting PostgreSQL and Redis (private, unix sockets)"
  tg_start_postgres
  tg_start_redis
  tg_write_config
  tg_say "starting billing, scheduler, gateway"
  tg_supervise billing "$TG_BIN/tidegate-billing" "--config=$TG_CONF/billing.conf"
  tg_supervise scheduler "$TG_BIN/tidegate-scheduler" "--config=$TG_CONF/scheduler.conf"
  tg_supervise gateway "$TG_BIN/tidegate-gateway" "--config=$TG_CONF/gateway.conf"
  tg_wait_for "billing to be ready" 60 tg_ready "$TG_ADMIN_PORT"
  tg_wait_for "the scheduler to be ready" 60 tg_ready $((TG_ADMIN_PORT + 1))
  tg_wait_for "the gateway to be ready" 60 tg_ready $((TG_ADMIN_PORT + 2))
}

tg_stop_one() { # NAME SIGNAL SECONDS
  local name="$1" signal="$2" limit="$3" supervisor child
  [ -s "$TG_RUN/$name.supervisor" ] || return 0
  supervisor="$(cat "$TG_RUN/$name.supervisor")"
  child="$(cat "$TG_RUN/$name.pid" 2>/dev/null || true)"
  : >"$TG_RUN/$name.stop"
  if [ -n "$child" ]; then kill "-$signal" "$child" 2>/dev/null || true; fi
  kill -TERM "$supervisor" 2>/dev/null || true
  local deadline=$((SECONDS + limit))
  while kill -0 "$supervisor" 2>/dev/null; do
    if [ $SECONDS -ge $deadline ]; then
      tg_say "$name did not stop within ${limit} s: killing it"
      if [ -n "$child" ]; then kill -KILL "$child" 2>/dev/null || true; fi
      deadline=$((SECONDS + 5))
    fi
    read -r -t 0.1 <> <(:) || true
  done
  rm -f "$TG_RUN/$name.pid" "$TG_RUN/$name.supervisor" "$TG_RUN/$name.stop"
}

tg_stop_workers() {
  # Workers outlive a scheduler on purpose, so taking everything down ends them by their pid files.
  local file pid
  for file in "$TG_VAR"/workers/*.pid; do
    [ -s "$file" ] || continue
    pid="$(head -n 1 "$file" | cut -d' ' -f1)"
    if [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$TG_BIN/tidegate-worker")" ]; then
      kill -TERM "$pid" 2>/dev/null || true
      local deadline=$((SECONDS + 10))
      # A worker whose scheduler is gone may stay a zombie for a while: it has no executable any more.
      while [ -n "$(readlink "/proc/$pid/exe" 2>/dev/null)" ] && [ $SECONDS -lt $deadline ]; do read -r -t 0.1 <> <(:) || true; done
      kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$file"
  done
}

tg_stop_stack() {
  tg_stop_one gateway TERM 40
  tg_stop_one scheduler TERM 15
  tg_stop_workers
  tg_stop_one billing TERM 15
  tg_stop_one redis TERM 10
  tg_stop_one postgres INT 30
  rm -rf "$TG_SOCKETS"
}
