#pragma once

#include <map>

#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/core/random.h"
#include "base/net/signal.h"
#include "gateway/core/recovery_plan.h"
#include "gateway/money/epoch_shipper.h"

namespace tidegate::gateway {

/// Begins this life of the gateway and ends the earlier ones. Every step may be cut by a crash and is then
/// done again.
///
///   <journal>/opening-<boot id>   written before billing is asked for an epoch, removed when its folder
///   exists:
///                                 an epoch without a folder therefore means a lost disk, not a crash
///   <journal>/epoch-<n>/          the segments of one life
///
/// An earlier epoch: streams cut by the crash get a FINAL `interrupted` at their last progress; everything
/// billing lacks is shipped under the old epoch; CLOSING is written; billing closes the epoch, which returns
/// its leases to the wallets; the folder goes. What cannot be delivered (damage, a refusal) stays in its
/// folder, is logged and counted.
class EpochRecovery {
 public:
  struct Site {
    std::string folder;  ///< of the journal; locked by the caller
    std::string gateway_id;
    std::string region;
    std::uint64_t segment_bytes_max = 0;
    ReceiptIssuer receipts;
  };
  EpochRecovery(Accounts& accounts, Disk& disk, Site site, ShipperMetrics& shipping, MeterMetrics& metrics,
                const Clock& clock, EntropySource& entropy, Log& log, Event& stopping);

  /// Asks until billing answers. Returns the new epoch's log once the earlier ones are dealt with.
  /// Fails: cancelled/stopping; a disk error (then the process cannot admit and should exit).
  awaitable<Result<EpochLog>> run();

  // The two last steps of a life, also used by an orderly end.
  /// Repeats until billing answers or the deadline.
  awaitable<Status> close(std::uint64_t epoch, std::uint64_t last_sequence, Deadline deadline);
  Status remove_epoch(std::uint64_t epoch);

 private:
  awaitable<Result<v1::OpenEpochResponse>> open_epoch();
  awaitable<Result<v1::OpenEpochResponse>> ask_for_epoch(Uuid boot);
  Result<Uuid> boot_marker();
  Status remove_boot_marker();
  /// What billing has of an epoch that it does not know as closed.
  struct Owed {
    std::uint64_t applied_through = 0;
    std::string receipt_link;  ///< after it; 32 bytes or none
  };
  using Unclosed = std::map<std::uint64_t, Owed>;
  awaitable<void> recover(std::uint64_t epoch, const Unclosed& unclosed);
  awaitable<Status> settle_and_close(std::uint64_t epoch, const Unclosed& unclosed);
  /// The link that the next receipt of the epoch names: after the last FINAL, or as billing has it when every
  /// FINAL was acknowledged and freed.
  Result<Digest> chain_head(const EpochLog& log, const std::string& last_final, const Owed& owed) const;
  Status append_interrupted(EpochLog& log, const RecoveryPlan& plan, ReceiptDesk& receipts);
  awaitable<Status> ship(const EpochLog& log, std::uint64_t applied, ReceiptDesk& receipts);
  awaitable<bool> pause(Backoff& backoff);
  Backoff make_backoff(std::uint64_t seed) const;
  std::string epoch_folder(std::uint64_t epoch) const;

  Accounts& accounts_;
  Disk& disk_;
  const Site site_;
  ShipperMetrics& shipping_;
  MeterMetrics& metrics_;
  const Clock& clock_;
  EntropySource& entropy_;
  Log& log_;
  Event& stopping_;
};

}  // namespace tidegate::gateway
