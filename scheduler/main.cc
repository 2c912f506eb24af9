// tidegate-scheduler: the fleet. Options: --help.

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/obs/config_reloader.h"
#include "scheduler/config.h"
#include "scheduler/wiring.h"

int main(int argc, char** argv) {
  using namespace tidegate;
  scheduler::SchedulerConfig config;
  ConfigTable table = scheduler::config_table(config);
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    fmt::print("{}", table.help());
    return 0;
  }
  if (const Status parsed = table.parse(argc, argv); !parsed) {
    fmt::print(stderr, "tidegate-scheduler: {}\n", parsed.error().message);
    return 2;
  }
  const SystemClock clock;
  JsonLog log(clock, "scheduler", parse_log_level(config.log_level).value_or(LogLevel::kInfo));
  log_warnings(table, log);
  auto process = scheduler::SchedulerProcess::start(config, clock, log, std::vector<std::string>(argv, argv + argc));
  if (!process) {
    const Error& error = process.error();
    log.error("scheduler_failed", {kv("reason", error.reason), kv("message", error.message), kv("field", error.field)});
    return 1;
  }
  (*process)->run();
  return 0;
}
