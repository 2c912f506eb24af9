#pragma once

#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/net/signal.h"
#include "gateway/journal/journal.h"
#include "gateway/money/epoch_shipper.h"

namespace tidegate::gateway {

/// Ships the current epoch's journal to billing for as long as the process lives, and frees what was acknowledged.
/// Billing may be away for any time: the journal keeps everything up to its quota. A batch that billing refuses is
/// kept and offered again: usage is never thrown away, a person must look. Lives on one executor.
class Shipper {
 public:
  Shipper(Journal& journal, EpochShipper epoch, ShipperMetrics& metrics, const Clock& clock, Log& log,
          Executor executor);

  /// Until stop().
  awaitable<void> run();
  void stop();
  /// True once billing has everything that is on disk now; false at the deadline.
  awaitable<bool> flush(Deadline deadline);
  std::uint64_t applied_through() const { return epoch_.applied_through(); }

 private:
  void note_failure(const Error& error);
  void measure();

  Journal& journal_;
  EpochShipper epoch_;
  ShipperMetrics& metrics_;
  const Clock& clock_;
  Log& log_;
  Backoff backoff_;
  AsyncSignal wake_;
  AsyncSignal progress_;
  bool is_stopping_ = false;
  bool is_failing_ = false;
};

}  // namespace tidegate::gateway
