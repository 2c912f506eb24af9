# Sourced. tg_build PRESET [target...]: configures once and builds; says how far it is. TG_NICE: beside more urgent things.
tg_build() {
  local preset="$1"; shift
  local dir="$TG_ROOT/build/$preset"
  if [ ! -f "$dir/build.ninja" ]; then
    tg_run_logged "cmake --preset $preset" "$TG_VAR/log/configure-$preset.log" cmake -S "$TG_ROOT" --preset "$preset"
  fi
  tg_run_logged "building $preset ($(nproc) cores)" "$TG_VAR/log/build-$preset.log" nice -n "${TG_NICE:-0}" ninja -C "$dir" "$@"
}
