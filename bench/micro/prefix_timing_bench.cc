// Whether the time to a first token tells what another tenant has asked (CVE-2025-46570).
//
//   prefix_timing_bench MODEL [PAIRS] [SEED]
//
// One tenant's prompts are answered, then another's: some begin as the first tenant's did, some as nobody's. The order is random.
// Mann and Whitney's p says how likely times of one distribution are as unlike as these: above 0.05 the two cannot be told apart.
// Below them the same for a tenant's own prefix, which must be told apart, or the measurement sees nothing. That tokens computed
// are equal to the last one is a test: tests/unit/worker/engine/prefix_cache_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/random.h"
#include "tests/support/rank_test.h"
#include "worker/engine/open_engine.h"

namespace tidegate::worker {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kPromptBytes = 600;

enum class Prefix : std::uint8_t { kOwn, kForeign, kUnknown };

class TimingProbe {
 public:
  TimingProbe(Engine& engine, std::uint64_t seed) : engine_(engine), rng_(seed) {}

  /// Milliseconds to the first token; negative: the engine refused.
  double time(Prefix prefix) {
    const std::string text = words();
    const std::string warm = prefix == Prefix::kUnknown ? words() : text;
    // The same work before each measurement, whatever it measures.
    if (ask(warm, prefix == Prefix::kOwn ? 2 : 1) < 0) return -1;
    return ask(text, 2);
  }
  Rng& rng() { return rng_; }

 private:
  std::string words() {
    static constexpr std::string_view kWords[] = {"春", "江", "花", "月", "夜", "山", "moon", "river", "，", "写诗", "酒", "松"};
    std::string out;
    while (out.size() < kPromptBytes) out += kWords[rng_.below(std::size(kWords))];
    return out;
  }

  double ask(const std::string& text, std::uint8_t tenant) {
    GenerateRequest request;
    request.handle = ++last_handle_;
    request.raw = RawPrompt{.text = text};
    request.sampling.temperature = 0;
    request.sampling.max_tokens = 1;
    CacheSalt salt{};
    salt.back() = tenant;
    request.cache_salt = salt;
    const auto began = Clock::now();
    if (!engine_.submit(std::move(request))) return -1;
    double first = -1;
    while (!engine_.idle()) {
      for (const SequenceEvent& event : engine_.step()) {
        if (first < 0 && event.usage.completion_tokens > 0) {
          first = std::chrono::duration<double, std::milli>(Clock::now() - began).count();
        }
      }
    }
    return first;
  }

  Engine& engine_;
  Rng rng_;
  SequenceHandle last_handle_ = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

int measure(const char* model, int pairs, std::uint64_t seed) {
  EngineOptions options;
  options.sequences_max = 1;
  options.load.digest = false;
  auto engine = open_engine(model, options);
  if (!engine) {
    fmt::print(stderr, "{}\n", engine.error().message);
    return 1;
  }
  TimingProbe probe(**engine, seed);
  std::vector<Prefix> order;
  for (int n = 0; n < pairs; ++n) order.insert(order.end(), {Prefix::kOwn, Prefix::kForeign, Prefix::kUnknown});
  for (std::size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[probe.rng().below(n)]);
  std::vector<double> own, foreign, unknown;
  for (const Prefix prefix : order) {
    const double ms = probe.time(prefix);
    if (ms < 0) {
      fmt::print(stderr, "a prompt was refused\n");
      return 1;
    }
    (prefix == Prefix::kOwn ? own : prefix == Prefix::kForeign ? foreign : unknown).push_back(ms);
  }
  fmt::print("{:<26} {:>6} {:>12}   {}\n", "prefix", "count", "median ms", "p against never seen");
  fmt::print("{:<26} {:>6} {:>12.3f}\n", "never seen", unknown.size(), median(unknown));
  fmt::print("{:<26} {:>6} {:>12.3f}   {:.4g}\n", "cached by another tenant", foreign.size(), median(foreign),
             test::mann_whitney_p(foreign, unknown));
  fmt::print("{:<26} {:>6} {:>12.3f}   {:.4g}\n", "cached by this tenant", own.size(), median(own),
             test::mann_whitney_p(own, unknown));
  return 0;
}

}  // namespace
}  // namespace tidegate::worker

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    fmt::print(stderr, "usage: prefix_timing_bench MODEL [PAIRS] [SEED]\n");
    return 2;
  }
  const int pairs = argc > 2 ? std::max(8, std::atoi(argv[2])) : 200;
  const auto seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  return tidegate::worker::measure(argv[1], pairs, seed);
}
