#pragma once

#include "base/net/signal.h"
#include "gateway/money/epoch_recovery.h"
#include "gateway/money/meter.h"
#include "gateway/money/shipper.h"

namespace tidegate::gateway {

struct TreasuryConfig {
  std::string gateway_id;
  std::string pepper;          ///< what billing made the key MACs with
  std::string journal_folder;  ///< this gateway's own, on a disk that survives the process
  JournalLimits journal;
  LeasePolicy leases;
  MeterConfig meter;
  std::optional<ReceiptIssuer> receipts;  ///< required: no answer without a receipt
};

/// What it works with; all outlive it. `executor` belongs to one thread, on which watching, leasing, shipping
/// and recovery run (their file reads block it shortly).
struct TreasuryParts {
  Accounts& accounts;
  Disk& disk;
  const Clock& clock;
  EntropySource& entropy;
  MetricRegistry& metrics;
  Log& log;
  Executor executor;
  /// Called once, on `executor`: the journal can no longer be written, or never could. Stop taking requests,
  /// drain, exit; the next start replays.
  std::function<void()> on_failed;
};

/// The money half of a gateway: keys, prices, leases, journal, shipping, recovery, joined. Requests are
/// admitted from the moment the earlier lives of this gateway are settled with billing.
///
/// Life: open(), start(), ... drain(), destruction. Charges keep it alive.
class Treasury : public std::enable_shared_from_this<Treasury> {
 public:
  /// Locks the journal folder. Fails: failed_precondition/journal_locked, unavailable/disk_error,
  /// invalid_argument/bad_config (no gateway id or pepper).
  static Result<std::shared_ptr<Treasury>> open(TreasuryConfig config, TreasuryParts parts);
  ~Treasury();
  Treasury(const Treasury&) = delete;
  Treasury& operator=(const Treasury&) = delete;

  /// Once, any thread.
  void start();

  Principals& principals() { return principals_; }
  Meter& meter() { return meter_; }
  /// For /readyz: every reason why requests would be refused now. Any thread.
  Status ready() const;
  bool has_failed() const { return has_failed_.load(); }

  /// Orderly end: admits no more, waits for open charges, ships everything, lets billing close the epoch
  /// (which returns the leases) and stops every loop. What does not finish by the deadline is left to the
  /// next start's recovery. True when nothing was left. On `executor`. Once.
  awaitable<bool> drain(Deadline deadline);

  // For tests and status pages.
  LeaseKeeper& leases() { return leases_; }
  const AccountsFeed& feed() const { return feed_; }
  std::uint64_t epoch() const { return journal_ ? journal_->epoch() : 0; }

 private:
  Treasury(TreasuryConfig config, TreasuryParts parts, std::unique_ptr<FolderLock> lock);

  template <typename Loop>
  void spawn(Loop loop);
  awaitable<void> begin();
  awaitable<void> tick();
  awaitable<bool> finish_epoch(Deadline deadline);
  awaitable<bool> wait_for_charges(Deadline deadline);
  awaitable<Status> write_closing(std::uint64_t last_sequence);
  void note_failure();

  const TreasuryConfig config_;
  TreasuryParts parts_;
  std::unique_ptr<FolderLock> lock_;
  JournalMetrics journal_metrics_;
  FeedMetrics feed_metrics_;
  LeaseMetrics lease_metrics_;
  ShipperMetrics shipper_metrics_;
  MeterMetrics meter_metrics_;
  PrincipalCache principals_;
  LeaseKeeper leases_;
  AccountsFeed feed_;
  LiveMeter meter_;
  Event stopping_;
  // From begin() on, before is_open_.
  std::unique_ptr<ReceiptDesk> receipts_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Shipper> shipper_;
  std::unique_ptr<ChargeContext> context_;
  std::atomic<bool> is_open_ = false;
  std::atomic<bool> has_failed_ = false;
  std::size_t loops_ = 0;  // on the executor
  AsyncSignal loop_ended_;
};

}  // namespace tidegate::gateway
