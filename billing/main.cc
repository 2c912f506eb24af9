// tidegate-billing: accounts and money, for gateways and for people. Options: --help.

#include <fmt/format.h>
#include <pthread.h>

#include <csignal>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/crypto/sha256.h"
#include "base/obs/admin_server.h"
#include "base/obs/config_reloader.h"
#include "base/rpc/tls.h"
#include "billing/config.h"
#include "billing/wiring.h"

namespace {

using namespace tidegate;

constexpr timespec kProbeInterval = {1, 0};

/// Reports whether PostgreSQL answers, and reads the options again on SIGHUP, until SIGTERM or SIGINT; every thread has
/// blocked the three.
void watch_until_told_to_stop(const sigset_t& signals, const billing::Billing& service, Readiness::Check database,
                              ConfigReloader& reloader) {
  int signal = 0;
  do {
    if (const Status probed = service.probe(); probed) {
      database.up();
    } else {
      database.down(probed.error().message);
    }
    signal = sigtimedwait(&signals, nullptr, &kProbeInterval);
    if (signal == SIGHUP) {
      const auto reloaded = reloader.reload();  // told to the log
    }
  } while (signal < 0 || signal == SIGHUP);
}

int serve(const billing::Config& config, const ConfigTable& table, std::vector<std::string> arguments,
          const sigset_t& signals) {
  const SystemClock clock;
  SystemEntropy entropy;
  JsonLog log(clock, "billing", parse_log_level(config.log_level).value_or(LogLevel::kInfo));
  log_warnings(table, log);
  PrometheusRegistry registry;
  Readiness readiness;
  const Readiness::Check database = readiness.add("database");

  const auto check = [&clock](const billing::Config& fresh) -> Status {
    TG_TRY(billing::check_secrets(fresh));
    TG_TRY(billing::check_oidc(fresh));
    return rpc::check_rpc_tls(fresh.rpc_tls, rpc::kBillingRole, clock.wall());
  };
  ConfigReloader reloader(
      "billing", reload_of_log_level<billing::Config>(config, billing::config_table, std::move(arguments), check, log),
      clock, log, registry);
  AdminActions actions;
  actions.reload = [&reloader] { return reloader.reload(); };
  auto admin = AdminServer::start(config.admin_listen, registry, readiness, table.values(), clock, log, std::move(actions));
  if (!admin) {
    log.error("start_failed", {kv("error", admin.error().to_string())});
    return 1;
  }
  auto service = billing::Billing::start(config, {clock, entropy, log, registry});
  if (!service) {
    log.error("start_failed", {kv("error", service.error().to_string())});
    return 1;
  }
  watch_until_told_to_stop(signals, **service, database, reloader);
  log.info("stopping");
  database.down("stopping");
  (*service)->stop();
  log.info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

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
  return serve(config, table, std::vector<std::string>(argv, argv + argc), signals);
}
