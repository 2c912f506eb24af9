#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/net/asio.h"
#include "gateway/core/api_error.h"
#include "gateway/core/rate_status.h"
#include "gateway/ports.h"

/// Limits on requests and tokens, as the request driver needs them. Real: gateway/limits/rate_keeper.h.
namespace tidegate::gateway {

struct RateRequest {
  std::shared_ptr<const Principal> principal;
  std::string model;
  std::int64_t tokens_max = 0;  ///< upper bound on prompt and completion together
};

/// What an admitted request holds of its limits. Any thread, one at a time. Destroying it ends the request for the
/// limits: its slot is free. A permit that was not settled counts its bound: we do not know what was used.
class RatePermit {
 public:
  virtual ~RatePermit() = default;
  /// The bound is known better: the worker has counted the prompt.
  virtual void shrink(std::int64_t tokens_max) = 0;
  /// Tokens really used, prompt and completion. Once; the slot stays held until the permit is destroyed.
  virtual void settle(std::int64_t tokens) = 0;
};

struct RateAdmission {
  std::unique_ptr<RatePermit> permit;  ///< null when refused, and when no limit binds the request
  std::optional<Refusal> refused;      ///< resource_exhausted/rate_limit_exceeded, with when to come back
  RateStatus status;                   ///< for headers, also of a refusal
};

/// Thread-safe: every io thread calls it.
class RateGate {
 public:
  virtual ~RateGate() = default;
  /// Takes from every limit that binds the request, or from none. Decides in this process while shares last; waits for
  /// Redis some tens of milliseconds at most. Never fails: without Redis a static part of each limit decides.
  virtual awaitable<RateAdmission> admit(RateRequest request) = 0;
};

}  // namespace tidegate::gateway
