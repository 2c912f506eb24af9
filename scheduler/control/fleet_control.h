#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/core/log.h"
#include "base/net/asio.h"
#include "base/net/signal.h"
#include "scheduler/core/fleet.h"
#include "scheduler/core/ports.h"
#include "scheduler/metrics.h"

namespace tidegate::scheduler {

/// The thin driver around Fleet: feeds it what happens, carries out what it asks for. Everything runs on one executor
/// unless said otherwise.
class FleetControl {
 public:
  /// How a worker's link is spoken to. Called on the executor; the callee may be gone and must then do nothing.
  struct LinkHandle {
    std::function<void(Term)> welcome;
    std::function<void(Term)> drain;
    std::function<void(Error)> close;
  };
  using RoutesSink = std::function<bool(const RouteSnapshot&)>;  ///< false: the watcher is gone

  /// References outlive the control.
  FleetControl(const Catalogue& catalogue, Fleet::Settings settings, std::uint64_t seed, RuntimeDriver& driver, const Clock& clock,
               Log& log, SchedulerMetrics& metrics, Executor executor);

  /// Begins to tick. Any thread, once.
  void start();
  /// Ends links and watchers, waits until nothing of it runs. Not on the executor. Idempotent.
  void stop();
  const Executor& executor() const { return executor_; }

  void begin_term(Term term, std::vector<Deployment> desired);
  void end_term();
  void set_deployment(Deployment deployment);
  void remove_deployment(const std::string& name);

  LinkId open_link(LinkHandle handle);
  void on_report(LinkId link, WorkerReport report);
  void on_link_closed(LinkId link);

  void on_demand(DemandReport report);

  void add_watcher(RoutesSink sink);
  /// For lists; null without a term.
  const Fleet* fleet() const { return fleet_.term() ? &fleet_ : nullptr; }

 private:
  awaitable<void> run();
  void tick();
  void carry_out(const FleetAction& action);
  void publish(Mono now);
  void write_notes();
  void update_metrics();
  AutoscaleFigures show_autoscale(const std::string& name, const Deployment& deployment);
  void forget_autoscale();
  LinkHandle* link_of_worker(const std::string& worker_id);

  Fleet fleet_;
  RuntimeDriver& driver_;
  const Clock& clock_;
  Log& log_;
  SchedulerMetrics& metrics_;
  Executor executor_;
  Event stopping_;
  std::promise<void> ended_;
  bool is_started_ = false;
  LinkId next_link_ = 1;
  std::map<LinkId, LinkHandle> links_;
  std::vector<RoutesSink> watchers_;
  Term published_term_ = 0;
  std::uint64_t published_version_ = 0;
  Mono published_at_{};
  std::map<std::string, AutoscaleMetrics> autoscale_shown_;
};

}  // namespace tidegate::scheduler
