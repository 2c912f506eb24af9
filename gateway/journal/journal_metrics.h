#pragma once

#include "base/core/metrics.h"

namespace tidegate::gateway {

struct JournalMetrics {
  explicit JournalMetrics(MetricRegistry& registry);

  Counter& records;
  Counter& written_bytes;
  Counter& dropped_progress;
  Counter& refused_admissions;
  Counter& failures;
  Histogram& sync_seconds;
  Histogram& batch_records;
  Gauge& disk_bytes;
  Gauge& open_requests;
  Gauge& segments;
};

}  // namespace tidegate::gateway
