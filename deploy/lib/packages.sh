# Sourced. tg_install_packages KIND...: installs what KIND (build run test fuzz) needs from Debian's packages, if missing.

TG_PACKAGES_build="g++ cmake ninja-build ccache pkg-config
  libboost1.81-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev
  libfmt-dev libssl-dev libpqxx-dev libpq-dev libhiredis-dev libre2-dev libsodium-dev libjemalloc-dev prometheus-cpp-dev libcurl4-openssl-dev zlib1g-dev
  libgtest-dev libgmock-dev libbenchmark-dev libpango1.0-dev"
TG_PACKAGES_run="postgresql redis-server curl ca-certificates util-linux procps
  fonts-open-sans fonts-droid-fallback"
TG_PACKAGES_fuzz="clang-14 libclang-rt-14-dev"
# lld: some ninety programs are linked, with sanitizers.
TG_PACKAGES_test="prometheus nodejs npm git clang-format poppler-utils lld"

tg_install_packages() {
  local wanted="" missing="" package variable
  for kind in "$@"; do variable="TG_PACKAGES_$kind"; wanted="$wanted ${!variable}"; done
  for package in $wanted; do
    # A machine may have Node.js from elsewhere; Debian's npm would then conflict with it.
    case "$package" in nodejs) command -v node >/dev/null && continue ;; npm) command -v npm >/dev/null && continue ;; esac
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  if [ -z "$missing" ]; then tg_say "packages: all present"; return; fi
  tg_say "packages to install:$missing"
  tg_run_logged "apt-get update" "$TG_VAR/log/apt-update.log" tg_as_root apt-get update -q
  # Private servers are started by the scripts, so the packages' own services need not start.
  tg_run_logged "apt-get install" "$TG_VAR/log/apt-install.log" tg_as_root env DEBIAN_FRONTEND=noninteractive \
    RUNLEVEL=1 apt-get install -q -y --no-install-recommends $missing
}
