#pragma once

#include "base/crypto/ed25519.h"
#include "billing/jobs/job_loop.h"

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

  /// Waits for a run under way. Idempotent.
  void stop() { loop_.stop(); }

 private:
  void seal_once();
  Status cut_yesterday();
  Status sign_audit_log();
  /// False when every cut day has its root.
  Result<bool> seal_next();

  const ServiceContext& context_;
  const Options options_;
  const Ed25519Key key_;
  JobLease lease_;
  JobLoop loop_;  // last: its thread uses what stands above
};

}  // namespace tidegate::billing
