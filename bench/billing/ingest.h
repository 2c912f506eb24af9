#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/billing/town.h"

namespace tidegate::bench {

struct IngestOptions {
  std::string dsn;
  int server_pid = 0;  ///< whose children's CPU time is the database's
  std::size_t batch_events = 1000;
};

struct IngestFigures {
  std::int64_t events = 0;
  double seconds = 0;
  double batch_ms_p50 = 0, batch_ms_p99 = 0;
  double billing_cpu_us = 0, database_cpu_us = 0;  ///< of an event

  double events_per_second() const { return static_cast<double>(events) / seconds; }
};

/// Each of `traffic` on a thread and connection of its own until `events` are committed by all together, one
/// transaction a batch: through apply_usage, with everything it does ...
IngestFigures ingest(const IngestOptions& options, std::vector<Traffic>& traffic, std::int64_t events);
/// ... or into a table with nothing but a primary key: what this PostgreSQL can take at most from one unnest a batch.
IngestFigures insert_bare(const IngestOptions& options, std::vector<Traffic>& traffic, std::int64_t events);

}  // namespace tidegate::bench
