#pragma once

#include "base/core/clock.h"
#include "gateway/journal/final_reader.h"
#include "gateway/money/accounts_port.h"
#include "gateway/money/money_metrics.h"
#include "gateway/money/receipt_desk.h"

namespace tidegate::gateway {

/// Offers one epoch's FINALs to billing, in order, a batch at a time. The caller decides when to try again.
class EpochShipper {
 public:
  struct Source {
    std::string folder;
    std::string gateway_id;
    std::uint64_t epoch = 0;
    std::uint64_t applied_through = 0;  ///< as billing said
    ReceiptDesk* receipts = nullptr;    ///< of this epoch; signs what is shipped
  };
  /// References outlive it.
  EpochShipper(Accounts& accounts, Disk& disk, Source source, ShipperMetrics& metrics, const Clock& clock);

  /// Submits the next at most 1,000 FINALs of what is synced; success without a call when there are none.
  /// Fails as SubmitUsage and FinalReader do. After failed_precondition/sequence_gap (billing was restored to
  /// an older state) the next try begins at the oldest FINAL that is still here.
  awaitable<Status> ship_next(std::uint64_t first_segment, EpochLog::Position end);

  std::uint64_t applied_through() const { return applied_; }
  /// When the oldest event of the last failed batch was completed; 0 after a success.
  std::int64_t oldest_waiting_us() const { return oldest_waiting_us_; }

 private:
  Accounts& accounts_;
  FinalReader reader_;
  const std::string gateway_id_;
  const std::uint64_t epoch_;
  ReceiptDesk& receipts_;
  ShipperMetrics& metrics_;
  const Clock& clock_;
  std::uint64_t applied_;
  std::int64_t oldest_waiting_us_ = 0;
};

}  // namespace tidegate::gateway
