#include "base/obs/config_reloader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace tidegate {

namespace {
Counter& reloads(MetricRegistry& registry, const std::string& service, const char* result) {
  return registry.counter("tidegate_" + service + "_config_reloads_total", "Times the options were read again",
                          {{"result", result}});
}
}  // namespace

ConfigReloader::ConfigReloader(const std::string& service, Work work, const Clock& clock, Log& log,
                               MetricRegistry& registry)
    : work_(std::move(work)),
      clock_(clock),
      log_(log),
      applied_(reloads(registry, service, "applied")),
      unchanged_(reloads(registry, service, "unchanged")),
      refused_(reloads(registry, service, "refused")),
      loaded_(registry.gauge("tidegate_" + service + "_config_loaded_timestamp_seconds",
                             "When the options in force were read, seconds since 1970")) {
  loaded_.set(static_cast<double>(unix_micros(clock_.wall())) / 1e6);
}

Result<std::vector<std::string>> ConfigReloader::reload() {
  const std::lock_guard lock(mutex_);
  auto changed = work_();
  if (!changed) {
    refused_.add();
    const Error& error = changed.error();
    log_.error("config_reload_refused", {kv("reason", error.reason), kv("message", error.message)});
    return changed;
  }
  (changed->empty() ? unchanged_ : applied_).add();
  loaded_.set(static_cast<double>(unix_micros(clock_.wall())) / 1e6);
  log_.info("config_reloaded", {kv("changed", fmt::format("{}", fmt::join(*changed, ",")))});
  return changed;
}

void log_warnings(const ConfigTable& table, Log& log) {
  for (const std::string& warning : table.warnings()) log.warn("config_warning", {kv("warning", warning)});
}

}  // namespace tidegate
