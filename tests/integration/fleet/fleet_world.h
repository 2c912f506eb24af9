#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/rpc/client.h"
#include "tests/integration/fleet/child.h"
#include "tests/support/temp_dir.h"
#include "tidegate/v1/fleet.grpc.pb.h"
#include "tidegate/v1/worker.grpc.pb.h"

namespace tidegate::test {

/// A real scheduler process on a real PostgreSQL, whose local driver starts real workers. Everything it started is gone
/// when it is destroyed.
class FleetWorld {
 public:
  FleetWorld();
  ~FleetWorld();

  void start_scheduler();
  /// A scheduler that has these pools, as in pools.file, in the place of the one before.
  void offer_pools(const std::string& json);
  /// No worker starts in that region any more, and none of these replicas is left.
  void lose_region(const std::string& region, const std::vector<std::string>& replicas);
  Child& scheduler() { return *scheduler_; }
  /// With another address, as a standby on the same database and run folder.
  std::unique_ptr<Child> start_standby(const std::string& address);

  Result<v1::Deployment> apply(const v1::Deployment& deployment, const std::string& key = {});
  Result<v1::DeleteDeploymentResponse> remove(const std::string& name);
  Result<v1::Deployment> change(const std::string& name, v1::ChangeRolloutRequest::Change change);
  Result<v1::DeploymentPlan> plan(const std::string& model);
  Result<v1::ListDeploymentsResponse> deployments(const std::string& address = {});
  Result<v1::ListWorkersResponse> workers();
  Result<v1::ListCatalogueResponse> catalogue();
  /// The newest picture of a fresh watch; the stream's error when there is none within a second.
  Result<v1::Routes> routes(const std::string& address = {});
  /// Waits for routes that satisfy `condition`; returns them, or nothing after `limit`.
  template <typename Condition>
  std::optional<v1::Routes> routes_until(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(60),
                                         const std::string& address = {});

  /// Of the replica's record in the run folder; 0 when there is none.
  pid_t pid_of(const std::string& replica) const;
  std::string address() const { return "unix:" + folder_.file("s.sock"); }
  std::string second_address() const { return "unix:" + folder_.file("s2.sock"); }
  std::string run_dir() const { return folder_.file("run"); }
  const std::string& cluster_token() const { return cluster_token_; }
  Deadline soon(Duration span = std::chrono::seconds(10)) const { return Deadline::after(clock_.mono(), span); }
  std::string logs() const;
  /// On the schedulers' database, behind their backs.
  void execute(const std::string& sql);

  static v1::Deployment sim(const std::string& name, int replicas = 1);
  static v1::Deployment tang_moe();

 private:
  std::vector<std::string> scheduler_command(const std::string& address) const;
  template <typename Service>
  rpc::Client<Service> client(const std::string& address, const std::string& token);

  SystemClock clock_;
  TempDir folder_;
  std::string connection_;
  std::string cluster_token_;
  std::string admin_key_;
  bool has_pools_ = false;
  std::unique_ptr<Child> scheduler_;
};

template <typename Condition>
std::optional<v1::Routes> FleetWorld::routes_until(Condition condition, std::chrono::milliseconds limit,
                                                   const std::string& address) {
  std::optional<v1::Routes> found;
  eventually(
      [&] {
        auto now = routes(address);
        if (!now) return false;
        if (!condition(*now)) return false;
        found = *std::move(now);
        return true;
      },
      limit);
  return found;
}

/// Runs one request on a worker as a gateway would: hello, credit, start, events to the finish.
struct Answer {
  std::string text;
  v1::SequenceEvent last;
  v1::WorkerHello hello;
};
Result<Answer> ask_worker(const std::string& address, const std::string& token, int max_tokens);

}  // namespace tidegate::test
