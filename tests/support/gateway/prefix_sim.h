#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "gateway/core/prefix_index.h"

/// A pool of workers and the requests of a trace, event by event, with the gateway's own WorkerPicker and PrefixIndex
/// in front. The workers' caches are simulated in tokens; the gateway sees texts, and what workers report.
namespace tidegate::gateway::test {

/// One request: for the gateway a text, for the worker blocks of 512 tokens.
struct TraceRequest {
  double at_s = 0;
  std::int64_t tokens = 0;
  std::vector<std::uint64_t> blocks;  ///< equal ids: equal text, when all before them are equal too
  PromptPrefix prefix;                ///< of a text that was made from the blocks, 3 to 5 bytes a token
};

/// Lines of {"timestamp": ms, "input_length": n, "output_length": n, "hash_ids": [..]}, as kvcache-ai/Mooncake on GitHub
/// publishes them. Fails: not_found/no_trace, invalid_argument/bad_trace with the line.
Result<std::vector<TraceRequest>> load_mooncake_trace(const std::string& path);
/// Where the trace is: in the folder TIDEGATE_TRACES, or beside `source_root` in shared/traces.
std::string mooncake_trace_path(const std::string& source_root);
/// Conversations of several turns in the same shape: one beginning that all share, then each their own.
std::vector<TraceRequest> synthetic_trace(std::size_t requests, std::uint64_t seed);

/// Share of prompt tokens that one cache without end, shared by all workers, would find.
double hit_ceiling(const std::vector<TraceRequest>& trace);

enum class RoutingPolicy : std::uint8_t { kRoundRobin, kLeastLoad, kLeastTime };
const char* policy_name(RoutingPolicy policy);

struct PrefixSimOptions {
  std::size_t workers = 8;
  std::int64_t cache_tokens = 4'100'000;  ///< of each worker, least recently used
  double prefill_rate = 8'000;            ///< tokens a second, one prompt after the other
  std::size_t entries_max = 262'144;      ///< of the index
  bool has_cache = true;                  ///< false: workers find nothing, whatever the index believes
};

struct PrefixSimResult {
  double hit_share = 0;  ///< of prompt tokens
  double ttft_mean_s = 0;
  double ttft_p90_s = 0;
  double ttft_p99_s = 0;
  double work_max_over_mean = 0;  ///< tokens computed by the busiest worker over the mean
  std::size_t entries = 0;        ///< of the index, at the end
};

PrefixSimResult simulate_routing(const std::vector<TraceRequest>& trace, RoutingPolicy policy,
                                 const PrefixSimOptions& options);

}  // namespace tidegate::gateway::test
