// tidegate-billing: accounts and money, for gateways and for people. Options: --help.

#include <fmt/format.h>
#include <pthread.h>

#include <csignal>
#include <ctime>
#include <string_view>

#include "base/crypto/sha256.h"
#include "base/obs/admin_server.h"
#include "billing/config.h"
#include "billing/wiring.h"

namespace {

using namespace tidegate;

constexpr timespec kProbeInterval = {1, 0};

/// Reports whether PostgreSQL answers, until SIGTERM or SIGINT, which every thread has blocked.
void watch_until_told_to_stop(const sigset_t& stop_signals, const billing::Billing& service, Readiness::Check database) {
  do {
    if (const Status probed = service.probe(); probed) {
      database.up();
    } else {
      database.down(probed.error().message);
    }
  } while (sigtimedwait(&stop_signals, nullptr, &kProbeInterval) < 0);
}

int serve(const billing::Config& config, const std::string& config_text, const sigset_t& stop_signals) {
  const SystemClock clock;
  SystemEntropy entropy;
  JsonLog log(clock, "billing", LogLevel::kInfo);
  PrometheusRegistry registry;
  Readiness readiness;
  const Readiness::Check database = readiness.add("database");

  auto admin = AdminServer::start(config.admin_listen, registry, readiness, config_text, clock, log);
  if (!admin) {
    log.error("start_failed", {kv("error", admin.error().to_string())});
    return 1;
  }
  auto service = billing::Billing::start(config, {clock, entropy, log, registry});
  if (!service) {
    log.error("start_failed", {kv("error", service.error().to_string())});
    return 1;
  }
  watch_until_told_to_stop(stop_signals, **service, database);
  log.info("stopping");
  database.down("stopping");
  (*service)->stop();
  log.info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  billing::Config config;
  ConfigTable table = billing::config_table(config);
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    fmt::print("{}", table.help());
    return 0;
  }
  Status fit = table.parse(argc, argv);
  if (fit) fit = billing::check_secrets(config);
  if (fit) fit = billing::check_oidc(config);
  if (!fit) {
    fmt::print(stderr, "tidegate-billing: {}\n", fit.error().message);
    return 2;
  }
  return serve(config, table.values(), stop_signals);
}
