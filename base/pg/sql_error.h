#pragma once

#include "base/core/result.h"

namespace tidegate::pg {

/// What went wrong with a transaction, and what the pool may do about it.
struct Fault {
  enum class Remedy {
    kGiveUp,     ///< report the error
    kRetry,      ///< rolled back by the server for others' sake: the same again may succeed
    kReconnect,  ///< the connection is gone and nothing was committed: connect, then the same again
  };
  Error error;
  Remedy remedy = Remedy::kGiveUp;
};

enum class Phase {
  kBody,    ///< before COMMIT was sent: a broken connection means rolled back
  kCommit,  ///< a broken connection leaves the outcome unknown
};

/// Inside a catch block only. `is_open`: whether the connection survived.
Fault fault_of_current_exception(Phase phase, bool is_open);

}  // namespace tidegate::pg
