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
  struct RoutesWatcher {
    std::function<bool(const RouteSnapshot&)> show;  ///< false: it is gone
    std::function<bool()> is_there;                  ///< asked also while there is nothing to show
    std::function<void(Error)> close;                ///< the term ended: it looks for who leads now
  };

  /// References outlive the control.
  FleetControl(const Catalogue& catalogue, Fleet::Settings settings, std::uint64_t seed, RuntimeDriver& driver, const Clock& clock,
               Log& log, SchedulerMetrics& metrics, Executor executor);

  /// Begins to tick. Any thread, once.
  void start();
  /// Ends links and watchers, waits until nothing of it runs. Not on the executor. Idempotent.
  void stop();
  const Executor& executor() const { return executor_; }

  /// Asked before anything is done under a term: false once the lease may be over. A scheduler that was frozen wakes with a
  /// term of long ago, and must not act on it in the moment before it hears so. Called on the executor; set before start().
  /// Without it every term holds until end_term().
  void act_while(std::function<bool()> may_act) { may_act_ = std::move(may_act); }
  void begin_term(Term term, std::vector<Deployment> desired);
  void end_term();
  void set_deployment(Deployment deployment);
  /// How a rollout's next state is stored: called on the executor, and answers by on_saved() or on_save_failed() there.
  /// Set before start().
  using Saver = std::function<void(Deployment, Term)>;
  void save_with(Saver saver) { saver_ = std::move(saver); }
  void on_saved(Deployment saved);
  void on_save_failed(const std::string& deployment, const std::string& why);
  void remove_deployment(const std::string& name);

  LinkId open_link(LinkHandle handle);
  void on_report(LinkId link, WorkerReport report);
  void on_link_closed(LinkId link);

  /// Fails: unavailable/not_leader, and the gateway tries another scheduler.
  Status on_demand(DemandReport report);

  void add_watcher(RoutesWatcher watcher);
  /// For lists; null without a term, or when it is over.
  const Fleet* fleet() const { return leads() ? &fleet_ : nullptr; }

 private:
  awaitable<void> run();
  void tick();
  void act(Mono now);
  /// There is a term, and it may be acted on.
  bool leads() const;
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
  std::vector<RoutesWatcher> watchers_;
  Saver saver_;
  std::function<bool()> may_act_;
  Term published_term_ = 0;
  std::uint64_t published_version_ = 0;
  Mono published_at_{};
  std::map<std::string, AutoscaleMetrics> autoscale_shown_;
};

}  // namespace tidegate::scheduler
