#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/core/autoscaler.h"
#include "scheduler/core/catalogue.h"
#include "scheduler/core/fit_check.h"
#include "scheduler/core/home.h"
#include "scheduler/core/pool_watch.h"
#include "scheduler/core/reconciler.h"
#include "scheduler/core/replica_progress.h"
#include "scheduler/core/rollout.h"
#include "scheduler/core/route_book.h"
#include "scheduler/core/speed_log.h"
#include "scheduler/core/worker_table.h"

namespace tidegate::scheduler {

// What happened, for the log; decisions are never per heartbeat.
struct FleetNote {
  std::string event;      ///< literal, snake_case
  std::string worker_id;  ///< or empty
  std::string replica;    ///< or empty
  std::string detail;
};

/// The whole fleet as one state machine: events in, actions out, time as a parameter. Acts only between begin_term and
/// end_term; without a term it holds nothing and answers nothing. One thread.
class Fleet {
 public:
  struct Settings {
    WorkerTable::Limits workers;
    Reconciler::Settings reconciler;
    /// How long a term waits at most for workers that are known to run before it shows its routes.
    Duration settle_limit = std::chrono::seconds(3);
    std::string models_folder;
    AutoscaleSettings autoscale;
    /// A replica that is to stop is out of the routes that are shown for so long before it is told: no gateway still sends
    /// to it. Zero: it is told at once.
    Duration stop_notice = std::chrono::seconds(1);
    /// Before a step of a rollout that could not be stored is stored again.
    Duration save_again_after = std::chrono::seconds(1);
    /// Where deployments that lost their pool go; null: they stay.
    FindHome find_home;
    /// Before a deployment that no pool can have is asked for again.
    Duration find_again_after = std::chrono::seconds(10);
    /// Before a worker without a process is told to go again: its link may be a new one.
    Duration drain_again_after = std::chrono::seconds(1);
  };
  enum class LinkAnswer : std::uint8_t {
    kNone,
    kWelcome,      ///< a new link: tell it our term
    kDrain,        ///< not wanted here: finish and go
    kRefuse,       ///< close the link: no term
    kNewerTerm,    ///< it has obeyed a newer scheduler: we are not the leader any more
  };

  /// The catalogue outlives the fleet.
  Fleet(const Catalogue& catalogue, Settings settings, std::uint64_t seed);

  void begin_term(Term term, std::vector<Deployment> desired, Mono now, Wall wall);
  void end_term();
  std::optional<Term> term() const { return term_; }

  /// An older version than the one known is ignored.
  void set_deployment(Deployment deployment);
  void remove_deployment(const std::string& name);

  LinkAnswer on_report(LinkId link, WorkerReport report, Mono now);
  void on_link_closed(LinkId link, Mono now);
  void on_processes(std::vector<ReplicaProcess> processes, Mono now);
  void on_start_failed(const std::string& replica, const std::string& why, Mono now);
  /// Next states of rollouts, to be stored. Each is acted on after on_saved(); none follows before on_saved() or
  /// on_save_failed().
  std::vector<Deployment> take_saves();
  void on_saved(Deployment saved);
  void on_save_failed(const std::string& deployment, const std::string& why, Mono now);
  /// What a gateway saw of the demand; dropped without a term.
  void on_demand(DemandReport report, Mono now);
  /// Time passes: silence, back-off, deadlines. Call at least every 250 ms and after each batch of events. `wall` is for
  /// the times of day of autoscaling; without it, it is counted on from the term's beginning.
  std::vector<FleetAction> tick(Mono now, std::optional<Wall> wall = std::nullopt);

  /// Changed when its version did. Valid within a term.
  const RouteSnapshot& routes() const { return routes_.snapshot(); }
  /// Whether the routes may be shown. A term begins without knowing a worker: until those that run have registered, or
  /// settle_limit has passed, gateways fare better with the routes they have.
  bool is_settled() const { return is_settled_; }
  const WorkerTable& workers() const { return workers_; }
  const std::map<std::string, Deployment>& deployments() const { return deployments_; }
  DeploymentStatus status_of(const std::string& deployment) const;
  /// Deployments that are gone from desired state and still have processes.
  std::vector<std::string> deleting() const;
  /// The number of replicas a deployment is to have now; its status explains the rest.
  std::int32_t replicas_wanted(const Deployment& deployment) const {
    return deployment.is_drained ? 0 : autoscaler_.replicas_of(deployment);
  }
  /// Of both revisions, as of the last tick.
  RolloutTargets targets_of(const Deployment& deployment) const {
    return rollout_targets(deployment, replicas_wanted(deployment), wall_);
  }
  std::int32_t ready_of(const Deployment& deployment, std::int32_t revision) const;
  /// Every replica that is wanted or still runs, by name.
  std::vector<ReplicaProgress> progress_of(const Deployment& deployment) const;
  const Autoscaler& autoscaler() const { return autoscaler_; }
  const Reconciler& reconciler() const { return reconciler_; }
  const Catalogue& catalogue() const { return catalogue_; }
  const FitCheck& fit_check() const { return fit_check_; }
  /// What replicas were seen to do since the term began.
  const MeasuredSpeeds& speeds() const { return speed_log_.speeds(); }
  /// What to ask for a place for it, now.
  HomeRequest home_request(const Deployment& deployment, Mono now) const;
  /// Why it moved last, or cannot leave its lost pool; empty: neither happened in this term.
  std::string placement_why(const std::string& deployment) const;
  /// Deployments that moved, this term; and those whose pool is lost and that no other can have, now.
  std::int64_t moves_total() const { return moves_total_; }
  std::int64_t homeless() const;
  /// What happened since the last call.
  std::vector<FleetNote> take_notes();

 private:
  struct Saving {
    bool is_under_way = false;
    Mono not_before{};
  };
  /// A replica out of the routes, before and after it was told to stop.
  struct Leaving {
    std::string worker_id;
    Mono since{};
    bool is_told = false;
  };
  /// Of a deployment that lost its pool in this term.
  struct Moving {
    std::string why;
    bool is_homeless = false;
    Mono not_before{};
  };

  void publish();
  std::vector<TrafficShare> shares() const;
  std::vector<ReplicaSpec> specs_of(const Deployment& deployment) const;
  void advance_rollouts(Mono now);
  RolloutView view_of(const Deployment& deployment) const;
  std::string candidate_failure(const Deployment& deployment, std::int32_t replicas) const;
  std::string stable_failure(const Deployment& deployment, std::int32_t replicas) const;
  void space_drains(std::vector<FleetAction>& actions, Mono now);
  void move_lost(Mono now);
  void move(const Deployment& deployment, Mono now);
  bool has_worker(const Deployment& deployment) const;
  void hold_early_stops(std::vector<FleetAction>& actions);
  void hold_stops(std::vector<FleetAction>& actions, Mono now);
  void scale(Mono now, Wall wall);
  void settle(Mono now);
  bool is_live(const std::string& worker_id) const;
  std::map<std::string, ReplicaWorker> replica_workers() const;
  void check_fit(const std::string& worker_id);
  void note_speed(const WorkerReport& report, Mono now);
  void note(std::string event, std::string worker_id, std::string replica, std::string detail = {});

  const Catalogue& catalogue_;
  Settings settings_;
  std::optional<Term> term_;
  WorkerTable workers_;
  Reconciler reconciler_;
  Autoscaler autoscaler_;
  RouteBook routes_;
  FitCheck fit_check_;
  SpeedLog speed_log_;
  std::map<std::string, Deployment> deployments_;
  std::map<std::string, ReplicaProcess> processes_;
  Mono term_began_{};
  Wall term_wall_{};
  Wall wall_{};  ///< of the last tick
  std::map<std::string, Leaving> leaving_;  ///< by replica
  std::set<std::string> early_stops_;       ///< replicas that are to stop once the routes are shown
  std::map<std::string, Saving> saving_;  ///< by deployment
  std::vector<Deployment> saves_;
  PoolWatch pool_watch_;
  std::map<std::string, Moving> moving_;      ///< by deployment
  std::map<std::string, Mono> drain_told_;    ///< workers without a process
  std::int64_t moves_total_ = 0;
  std::set<LinkId> told_to_go_;  ///< duplicates hear it once per link
  bool processes_known_ = false;  ///< the driver was asked since the term began
  bool is_settled_ = false;
  std::set<std::string> awaited_;  ///< workers that were live when our last term ended
  std::vector<FleetNote> notes_;
};

}  // namespace tidegate::scheduler
