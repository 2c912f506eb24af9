#pragma once

#include <cstdint>

#include "base/core/ids.h"
#include "worker/engine/engine.h"

namespace tidegate::worker {

/// What one sequence cost this worker, by the engine's own ledger of tokens.
struct MeterEntry {
  RequestId request;
  FinishReason finish = FinishReason::kStop;
  SequenceUsage usage;
};

/// Told of every sequence whose prompt was accepted, when it ends and before its gateway hears of it: what a gateway
/// bills can then be held against a record that the gateway never touched (invariant I13). Engine thread.
class UsageMeter {
 public:
  virtual ~UsageMeter() = default;
  virtual void record(const MeterEntry& entry) = 0;
};

}  // namespace tidegate::worker
