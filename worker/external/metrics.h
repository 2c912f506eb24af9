#pragma once

#include <string_view>

#include "base/core/metrics.h"
#include "worker/external/usage_check.h"

namespace tidegate::worker::external {

/// Of the adapter; every worker has them, so that their names do not depend on what it runs. The registry outlives this.
struct ExternalMetrics {
  explicit ExternalMetrics(MetricRegistry& registry);

  /// By how it ended: an answer that ended well, one that was not wanted any more, or the reason of its error.
  Counter& ended(std::string_view end) const;
  Counter& checked(UsageVerdict verdict) const;

  Gauge& up;
  Histogram& first_byte_seconds;

 private:
  Counter& done_;
  Counter& cancelled_;
  Counter& unreachable_;
  Counter& refused_;
  Counter& busy_;
  Counter& timeout_;
  Counter& cut_;
  Counter& malformed_;
  Counter& failed_;
  Counter& agrees_;
  Counter& missing_;
  Counter& under_;
  Counter& over_;
};

}  // namespace tidegate::worker::external
