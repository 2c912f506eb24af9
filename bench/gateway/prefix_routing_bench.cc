// What routing by the least time to the first token is worth: cached tokens, waiting and balance of three policies over
// the Mooncake conversation trace (tests/sim/README.md says where it comes from), or over a synthetic one.
//
//   prefix_routing_bench [trace.jsonl]

#include <cstdio>
#include <string>

#include "tests/support/gateway/prefix_sim.h"

namespace {

using namespace tidegate::gateway::test;

void print_table(const std::vector<TraceRequest>& trace, const PrefixSimOptions& options) {
  const double ceiling = hit_ceiling(trace);
  std::printf("\n%zu workers, cache of %.1f M tokens each, %.0f tokens/s; ceiling %.1f %%\n", options.workers,
              static_cast<double>(options.cache_tokens) / 1e6, options.prefill_rate, 100 * ceiling);
  std::printf("%-12s %8s %10s %10s %9s %9s %9s %9s\n", "policy", "hit %", "% of ceil", "mean TTFT", "p90", "p99",
              "max/mean", "entries");
  for (const auto policy : {RoutingPolicy::kRoundRobin, RoutingPolicy::kLeastLoad, RoutingPolicy::kLeastTime}) {
    const PrefixSimResult got = simulate_routing(trace, policy, options);
    std::printf("%-12s %8.1f %10.1f %9.3fs %8.2fs %8.2fs %9.3f %9zu\n", policy_name(policy), 100 * got.hit_share,
                100 * got.hit_share / ceiling, got.ttft_mean_s, got.ttft_p90_s, got.ttft_p99_s, got.work_max_over_mean,
                got.entries);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : mooncake_trace_path(TG_SOURCE_DIR);
  auto trace = load_mooncake_trace(path);
  if (trace) {
    std::printf("%s: %zu requests\n", path.c_str(), trace->size());
  } else {
    std::printf("%s; a synthetic trace instead\n", trace.error().message.c_str());
    trace = synthetic_trace(10'000, 1);
  }
  for (const std::int64_t cache_tokens : {4'100'000, 500'000}) {
    PrefixSimOptions options;
    options.cache_tokens = cache_tokens;
    print_table(*trace, options);
  }
  return 0;
}
