#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/crypto/ed25519.h"
#include "base/pg/leader.h"
#include "billing/rpc/context.h"

namespace tidegate::billing {

/// Seals days: soon after midnight UTC, on the one replica that holds the job's lease, every receipt not yet in a tree
/// goes into the tree of the day that ended, is audited, and the root is signed. Signs a checkpoint of the audit log
/// whenever it has grown. On a thread of its own.
class ReceiptJob {
 public:
  struct Options {
    std::string deployment;
    std::chrono::milliseconds interval{60'000};  ///< > 0
    std::uint32_t verify_every = 16;             ///< signatures: one in this many
  };
  /// `holder` is new for each process start.
  ReceiptJob(const ServiceContext& context, Options options, Ed25519Key key, const std::string& holder);
  ~ReceiptJob() { stop(); }
  ReceiptJob(const ReceiptJob&) = delete;
  ReceiptJob& operator=(const ReceiptJob&) = delete;

  /// Waits for a run under way. Idempotent.
  void stop();

 private:
  void run();
  void seal_once();
  Status cut_yesterday();
  Status sign_audit_log();
  /// False when every cut day has its root.
  Result<bool> seal_next();

  const ServiceContext& context_;
  const Options options_;
  const Ed25519Key key_;
  pg::LeaderLease lease_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tidegate::billing
