#include "base/obs/readiness.h"

#include "base/core/log.h"

namespace tidegate {

Readiness::Check Readiness::add(std::string_view name) {
  const std::lock_guard lock(mutex_);
  checks_.try_emplace(std::string(name));
  return Check(this, std::string(name));
}

void Readiness::set(const std::string& name, bool is_up, std::string_view why) {
  const std::lock_guard lock(mutex_);
  State& state = checks_[name];
  state.is_up = is_up;
  state.why = why;
}

bool Readiness::is_ready() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, state] : checks_) {
    if (!state.is_up) return false;
  }
  return true;
}

std::string Readiness::render() const {
  const std::lock_guard lock(mutex_);
  bool ready = true;
  std::string checks;
  for (const auto& [name, state] : checks_) {
    ready = ready && state.is_up;
    if (!checks.empty()) checks += ',';
    append_json_string(checks, name);
    checks += ':';
    append_json_string(checks, state.is_up ? "ok" : state.why);
  }
  return std::string(R"({"ready":)") + (ready ? "true" : "false") + ",\"checks\":{" + checks + "}}\n";
}

}  // namespace tidegate
