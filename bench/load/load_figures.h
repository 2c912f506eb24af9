#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/load/histogram.h"

namespace tidegate::bench {

struct TenantFigures {
  std::string name;
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;
  LatencyHistogram first_token;  ///< of answers; of whole answers without a stream: the last byte
};

/// What a process did between the first and the last instant of a phase.
struct ProcessFigures {
  std::string name;
  double cpu_seconds = 0;
  double rss_mib = 0;  ///< at the end
};

/// Two ways to count, both needed: requests belong to the phase in which they were DUE (latencies, answers), and work
/// to the phase in which it HAPPENED (what CPU time is divided by).
struct PhaseFigures {
  std::string name;
  double seconds = 0;

  // Of requests that were due in this phase. Latencies count from when they were due.
  std::uint64_t due = 0;
  std::uint64_t answered = 0;    ///< 200, and the stream came to its end
  std::uint64_t refused = 0;     ///< 429 and 503, at the first try
  std::uint64_t failed = 0;      ///< any other status, cut streams, broken connections
  std::uint64_t unfinished = 0;  ///< given up: answer_max, or the end of the run
  std::map<int, std::uint64_t> statuses;
  LatencyHistogram first_byte, first_token, whole;  ///< of answers
  LatencyHistogram refusal;                         ///< due to last byte of a refusal
  LatencyHistogram refusal_service;  ///< the same from when the request was sent: what of it is the server's
  std::vector<TenantFigures> tenants;

  // Of clients that were refused in this phase and came back after Retry-After.
  std::uint64_t came_back = 0;
  std::uint64_t admitted_at_once = 0;  ///< by the first try after the wait
  std::uint64_t admitted_later = 0;
  LatencyHistogram told_to_wait;

  // Of what happened in this phase.
  std::uint64_t answers_ended = 0;
  std::uint64_t token_events = 0;
  std::int64_t tokens_told = 0;  ///< completion_tokens of the answers that ended
  LatencyHistogram gaps;         ///< between two token events of one stream
  std::vector<ProcessFigures> processes;
  std::vector<double> cores_busy;  ///< share of each core's time that was not idle
  std::uint64_t streams_open = 0;  ///< at the end
};

/// A tenth of a second of the run, by when things happened: for recovery, which has no phase of its own.
struct Tick {
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;
  Duration slowest_first_token{0};
};
inline constexpr Duration kTick = std::chrono::milliseconds(100);

struct LoadFigures {
  std::vector<PhaseFigures> phases;
  std::vector<Tick> ticks;
  std::uint64_t connects = 0;
  std::uint64_t late_us_max = 0;  ///< the generator itself: longest time between due and noticed
};

/// One JSON object. Latencies are {count, mean, p50, p90, p99, p999, max} in microseconds.
std::string render_figures(const LoadFigures& figures);

}  // namespace tidegate::bench
