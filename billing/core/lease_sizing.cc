#include "billing/core/lease_sizing.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidegate::billing {

Result<Money> size_lease(const LeaseRequest& request) {
  if (request.least.is_negative() || request.want < request.least) {
    return fail(Code::kInvalidArgument, "bad_amount", "least must be >= 0 and want must be >= least", "want");
  }
  if (request.available < request.least || request.available.is_negative()) {
    return fail(Code::kResourceExhausted, "insufficient_balance",
                fmt::format("the wallet has {} left, the request needs {}; top it up", request.available.to_string(),
                            request.least.to_string()),
                "least");
  }
  // Rounding down to a pico: exact, and never above what is there.
  const Money share = Money::from_pico(request.available.pico() / (2 * std::max<std::int64_t>(1, request.gateways)));
  return std::clamp(request.want, request.least, std::max(request.least, share));
}

}  // namespace tidegate::billing
