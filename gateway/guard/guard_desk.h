#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "gateway/core/api_error.h"
#include "gateway/core/plan.h"
#include "gateway/guard/guard.h"
#include "gateway/guard/guard_metrics.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

/// What becomes of a text that the guard gave no verdict on.
enum class OnGuardFailure : std::uint8_t { kOpen, kClosed };

struct GuardPolicy {
  OnGuardFailure input = OnGuardFailure::kClosed;
  OnGuardFailure output = OnGuardFailure::kClosed;
  std::size_t window_bytes = 512;
};

/// "open" | "closed"; nullopt for every other word.
std::optional<OnGuardFailure> parse_on_guard_failure(std::string_view word);

/// The one place where requests meet the guard: it asks, counts, logs (request, rule, direction and action; never a
/// text) and decides what a failure means. Thread-safe: every io thread asks.
class GuardDesk {
 public:
  /// All references outlive it.
  GuardDesk(Guard& guard, const GuardPolicy& policy, GuardMetrics& metrics, Log& log, const Clock& clock)
      : guard_(guard), policy_(policy), metrics_(metrics), log_(log), clock_(clock) {}

  /// Rules of a request that the log has named already.
  using Told = std::set<std::string, std::less<>>;

  /// Refuses what no guard can read: invalid_argument/unsupported_parameter (logprobs, token ids to embed).
  static Status check_readable(const Plan& plan);

  static GuardSubject subject_of(const RequestId& request, const Principal& principal, std::string model);

  /// A verdict that fits the check. Fails, where failures are closed: unavailable/guard_unavailable. Cancelled by Asio it
  /// fails with cancelled/guard_given_up, whatever failures are: that is none of the guard's.
  awaitable<Result<GuardVerdict>> ask(const GuardCheck& check, Told& told);

  /// Masks the plan's texts in place, or refuses: invalid_argument/content_policy, unavailable/guard_unavailable, and
  /// invalid_argument/request_too_large when it has too many texts, or masking made too much of it. `subject` and `plan`
  /// outlive the call.
  awaitable<std::optional<Refusal>> check_input(const GuardSubject& subject, Plan& plan);

  const GuardPolicy& policy() const { return policy_; }
  bool reads_answers(const GuardSubject& subject) const { return guard_.reads_answers(subject); }
  bool asks_elsewhere() const { return guard_.asks_elsewhere(); }

 private:
  void count(const GuardCheck& check, const GuardVerdict& verdict);
  void tell(const GuardCheck& check, const GuardVerdict& verdict, Told& told);
  Result<GuardVerdict> on_failure(const GuardCheck& check, const Error& error);

  Guard& guard_;
  const GuardPolicy policy_;
  GuardMetrics& metrics_;
  Log& log_;
  const Clock& clock_;
};

}  // namespace tidegate::gateway
