#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/pg/notify.h"
#include "base/rpc/stream_writer.h"
#include "base/rpc/work_pool.h"
#include "billing/adapters/accounts_view.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/billing.pb.h"

namespace tidegate::billing {

/// Keeps gateways informed: to each a snapshot, then what changed within 500 ms of its commit, whichever billing replica
/// made the change (the change log is a table; NOTIFY and a poll lead to it), and an empty update each second in between.
/// A heartbeat is sent only after the database was asked: silence means "revocations unknown".
///
/// Updates carry the present state, not steps, so a stream may see a change twice and never an older state after a newer
/// one: what was read at or before its snapshot's version is dropped.
class WatchHub {
 public:
  static constexpr auto kPoll = std::chrono::milliseconds(200);
  static constexpr auto kHeartbeat = std::chrono::milliseconds(1000);
  static constexpr std::size_t kPrincipalsPerMessage = 1000;
  static constexpr std::size_t kCapsPerMessage = 1000;
  static constexpr std::size_t kLimitsPerMessage = 1000;

  WatchHub(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), workers_(workers) {}
  ~WatchHub() { stop(); }

  /// Begins to follow the change log on `connection`.
  void start(const std::string& connection);
  /// Ends every stream as unavailable and stops following. Idempotent. The hub must outlive the server and the
  /// workers' jobs.
  void stop();

  /// What the service method returns.
  grpc::ServerWriteReactor<v1::AccountsUpdate>* watch(grpc::CallbackServerContext* call, const rpc::AuthGate& gate,
                                                      const std::string& gateway);

 private:
  struct Stream {
    std::optional<rpc::StreamWriter<v1::AccountsUpdate>> writer;
    std::optional<std::int64_t> snapshot_version;  ///< empty until the snapshot is on its way
    std::deque<v1::AccountsUpdate> early;          ///< updates that came before the snapshot
  };

  void follow();
  enum class Kind : std::uint8_t { kNews, kHeartbeat };
  void broadcast(v1::AccountsUpdate message, Kind kind);
  void send_snapshot(std::uint64_t id);
  void end(std::uint64_t id, const Status& status);

  const ServiceContext& context_;
  rpc::WorkPool& workers_;
  std::unique_ptr<pg::Listener> listener_;
  // Listener's thread only.
  std::optional<std::int64_t> followed_;
  Mono last_sent_{};

  std::mutex mutex_;
  bool is_stopped_ = false;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Stream> streams_;
};

}  // namespace tidegate::billing
