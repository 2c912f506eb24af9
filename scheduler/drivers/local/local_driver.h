#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/log.h"
#include "base/core/rpc_tls_options.h"
#include "scheduler/core/ports.h"
#include "scheduler/drivers/local/child_process.h"
#include "scheduler/drivers/local/replica_limits.h"
#include "scheduler/drivers/local/replica_record.h"

namespace tidegate::scheduler {

/// Runs replicas as processes of this machine. They belong to nobody but themselves: a scheduler that ends, crashes or
/// is replaced leaves them serving, and the next one finds them by their records (pid and start time).
class LocalDriver final : public RuntimeDriver {
 public:
  struct Settings {
    std::string worker_binary;
    std::string run_dir;             ///< records, logs, the term, prometheus_sd.json
    std::string socket_dir;          ///< unix sockets of the workers: keep it short
    std::string scheduler_address;   ///< told to workers; of several schedulers, with commas between
    std::string billing_address;     ///< told to workers, for their meters; empty = none
    std::string cluster_token_file;  ///< its path, not its content: command lines are public
    RpcTlsOptions worker_tls;        ///< paths for the workers; off: they speak plain gRPC
    Duration stop_limit = std::chrono::seconds(70);
    std::vector<std::string> extra_arguments;
    LimitOptions limits;                      ///< of each replica; one that runs keeps what it was started with
    RemoveGroup remove_group = tidegate::scheduler::remove_group;
  };

  /// Makes the folders. Fails: internal/state_unwritable, failed_precondition/limits_impossible.
  static Result<std::unique_ptr<LocalDriver>> open(Settings settings, const Clock& clock, Log& log);

  Status start(const ReplicaSpec& spec, Term term) override;
  Status stop(const std::string& replica, Term term) override;
  std::vector<ReplicaProcess> observe(Mono now) override;
  /// The term is on record at once: a scheduler that wakes late finds it there, also when this one had nothing to order.
  void begin_term(Term term) override;

 private:
  struct Ended {
    std::string incarnation;
    std::string exit;
  };
  LocalDriver(Settings settings, LimitMeans means, const Clock& clock, Log& log)
      : settings_(std::move(settings)), means_(means), clock_(clock), log_(log) {}

  std::vector<std::string> command_for(const ReplicaSpec& spec, Term term, const std::string& admin_address) const;
  Result<ChildLimits> limits_for(const ReplicaSpec& spec, Term term) const;
  void drop_group(const std::filesystem::path& group);
  bool is_alive(const ReplicaRecord& record);
  void note_end(const ReplicaRecord& record, const std::optional<std::string>& exit);
  void force_overdue(const ReplicaRecord& record, Mono now);

  Settings settings_;
  LimitMeans means_;
  const Clock& clock_;
  Log& log_;
  std::map<std::string, Mono> stopping_;  ///< replica -> when force is used
  std::map<std::string, Ended> ended_;    ///< by replica: how its last run ended
};

}  // namespace tidegate::scheduler
