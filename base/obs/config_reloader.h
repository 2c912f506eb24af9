#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/config.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/core/result.h"

namespace tidegate {

/// Reading a service's options again while it runs, on SIGHUP or POST /reload: one at a time, all or nothing, and told
/// to metrics and log. Thread-safe.
class ConfigReloader {
 public:
  /// Reads, checks and applies; gives the names of the options that changed. What it refuses changed nothing.
  using Work = std::function<Result<std::vector<std::string>>()>;

  /// `service` is the second word of the metrics. The references outlive it.
  ConfigReloader(const std::string& service, Work work, const Clock& clock, Log& log, MetricRegistry& registry);

  /// Blocks for as long as it takes to read a few files. Fails as the work does.
  Result<std::vector<std::string>> reload();

 private:
  const Work work_;
  const Clock& clock_;
  Log& log_;
  Counter& applied_;
  Counter& unchanged_;
  Counter& refused_;
  Gauge& loaded_;
  std::mutex mutex_;
};

/// Options read again, and what changed. `Config` is a service's struct of options.
template <typename Config>
struct RereadConfig {
  Config config;
  std::vector<std::string> changed;
};

/// Reads what the command line and its file say now and holds it against `running`.
/// Fails: invalid_argument/bad_config, invalid_argument/not_reloadable.
template <typename Config>
Result<RereadConfig<Config>> reread_config(const Config& running, ConfigTable (*table_of)(Config&),
                                           const std::vector<std::string>& arguments) {
  std::vector<const char*> words;
  for (const std::string& argument : arguments) words.push_back(argument.c_str());
  RereadConfig<Config> reread;
  Config before = running;
  ConfigTable old_table = table_of(before);
  ConfigTable new_table = table_of(reread.config);
  TG_TRY(new_table.parse(static_cast<int>(words.size()), words.data()));
  TG_ASSIGN(reread.changed, old_table.changes_to(new_table));
  return reread;
}

/// The reload of a service of whose options log.level alone may change. `check` sees the new options before anything is
/// applied: also what lies behind options that did not change, such as certificates. `log` outlives the work.
template <typename Config>
ConfigReloader::Work reload_of_log_level(Config running, ConfigTable (*table_of)(Config&),
                                         std::vector<std::string> arguments,
                                         std::function<Status(const Config&)> check, Log& log) {
  return [running = std::move(running), table_of, arguments = std::move(arguments), check = std::move(check),
          &log]() mutable -> Result<std::vector<std::string>> {
    TG_ASSIGN(auto reread, reread_config(running, table_of, arguments));
    TG_TRY(check(reread.config));
    running = std::move(reread.config);
    log.set_least(parse_log_level(running.log_level).value_or(LogLevel::kInfo));
    return std::move(reread.changed);
  };
}

/// Tells what ConfigTable::warnings() finds, at the start.
void log_warnings(const ConfigTable& table, Log& log);

}  // namespace tidegate
