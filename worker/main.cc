// tidegate-worker: runs one model variant and serves it to gateways. Options: --help.

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "worker/config.h"
#include "worker/wiring.h"

int main(int argc, char** argv) {
  using namespace tidegate;
  worker::WorkerConfig config;
  ConfigTable table = worker::config_table(config);
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    fmt::print("{}", table.help());
    return 0;
  }
  Status parsed = table.parse(argc, argv);
  if (parsed) parsed = worker::check_config(config);
  if (!parsed) {
    fmt::print(stderr, "tidegate-worker: {}\n", parsed.error().message);
    return 2;
  }
  const SystemClock clock;
  JsonLog log(clock, "worker", LogLevel::kInfo);
  auto process = worker::WorkerProcess::start(config, clock, log);
  if (!process) {
    const Error& error = process.error();
    log.error("worker_failed", {kv("reason", error.reason), kv("message", error.message), kv("field", error.field)});
    return 1;
  }
  (*process)->run();
  return 0;
}
