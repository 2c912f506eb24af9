#pragma once

#include "base/core/metrics.h"
#include "gateway/guard/guard.h"

namespace tidegate::gateway {

struct GuardMetrics {
  explicit GuardMetrics(MetricRegistry& registry);

  struct Side {
    Side(MetricRegistry& registry, GuardDirection direction);
    Counter& passed;
    Counter& masked;
    Counter& denied;
    Counter& failures;
    Histogram& seconds;
  };
  Side& of(GuardDirection direction) { return direction == GuardDirection::kInput ? input : output; }

  Side input;
  Side output;
};

}  // namespace tidegate::gateway
