#include "gateway/journal/journal_metrics.h"

namespace tidegate::gateway {

JournalMetrics::JournalMetrics(MetricRegistry& registry)
    : records(registry.counter("tidegate_gateway_journal_records_total", "Records written.")),
      written_bytes(registry.counter("tidegate_gateway_journal_written_bytes_total", "Bytes written.")),
      dropped_progress(registry.counter("tidegate_gateway_journal_dropped_progress_total",
                                        "Progress records given up because the writer was behind.")),
      refused_admissions(registry.counter("tidegate_gateway_journal_refused_admissions_total",
                                          "Admissions refused because the journal was at its quota.")),
      failures(registry.counter("tidegate_gateway_journal_failures_total", "Writes or syncs that failed for good.")),
      sync_seconds(registry.histogram("tidegate_gateway_journal_sync_seconds", "Time of one write and fdatasync.",
                                      latency_bounds_seconds())),
      batch_records(registry.histogram("tidegate_gateway_journal_batch_records", "Records in one group commit.",
                                       {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024})),
      disk_bytes(registry.gauge("tidegate_gateway_journal_disk_bytes", "Bytes of the current epoch on disk.")),
      open_requests(registry.gauge("tidegate_gateway_journal_open_requests", "Requests admitted and not final.")),
      segments(registry.gauge("tidegate_gateway_journal_segments_count", "Segments of the current epoch.")) {}

}  // namespace tidegate::gateway
