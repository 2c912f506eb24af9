// tidegate-gateway: the door. Options: --help.

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/obs/config_reloader.h"
#include "gateway/config.h"
#include "gateway/wiring.h"

int main(int argc, char** argv) {
  using namespace tidegate;
  gateway::GatewayConfig config;
  ConfigTable table = gateway::config_table(config);
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    fmt::print("{}", table.help());
    return 0;
  }
  Status parsed = table.parse(argc, argv);
  if (parsed) parsed = gateway::check_config(config);
  if (!parsed) {
    fmt::print(stderr, "tidegate-gateway: {}\n", parsed.error().message);
    return 2;
  }
  const SystemClock clock;
  JsonLog log(clock, "gateway", parse_log_level(config.log_level).value_or(LogLevel::kInfo));
  log_warnings(table, log);
  auto process = gateway::GatewayProcess::start(config, clock, log, std::vector<std::string>(argv, argv + argc));
  if (!process) {
    const Error& error = process.error();
    log.error("gateway_failed", {kv("reason", error.reason), kv("message", error.message), kv("field", error.field)});
    return 1;
  }
  return (*process)->run();
}
