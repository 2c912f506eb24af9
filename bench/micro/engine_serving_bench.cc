// What the serving core makes of the backend: tokens per second with and without guesses of the draft layer, and the time to
// the first token with and without a cached prefix. Greedy, so that both sides say the same.
//
//   engine_serving_bench [MODEL_DIR] [THREADS]
//
// The best of three rounds, since other work may share the machine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "worker/engine/open_engine.h"

namespace tidegate::worker {
namespace {

constexpr int kRounds = 3;
constexpr std::int32_t kAnswerTokens = 128;
constexpr std::int32_t kPrefixTokensAbout = 800;

using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point start) { return std::chrono::duration<double>(Steady::now() - start).count(); }

GenerateRequest request_of(SequenceHandle handle, std::string text, std::int32_t max_tokens) {
  GenerateRequest request;
  request.handle = handle;
  request.messages = {{Role::kUser, std::move(text)}};
  request.sampling.temperature = 0;
  request.sampling.max_tokens = max_tokens;
  return request;
}

struct Decoded {
  double tokens_per_second = 0;
  double right = 0;  ///< share of guesses
};

Decoded decode(const char* model, int threads, std::int32_t sequences, std::int32_t drafts_batch_max) {
  EngineOptions options;
  options.sequences_max = sequences;
  options.drafts_batch_max = drafts_batch_max;
  options.load.threads = threads;
  options.load.digest = false;
  auto engine = open_engine(model, options);
  if (!engine) {
    fmt::print(stderr, "{}\n", engine.error().to_string());
    return {};
  }
  Decoded best;
  SequenceHandle handle = 0;
  for (int round = 0; round < kRounds; ++round) {
    static constexpr const char* kPrompts[] = {"写一首关于月的五言绝句。", "写一首关于江的七言绝句。", "写一首关于酒的诗。", "春天"};
    for (std::int32_t n = 0; n < sequences; ++n) {
      (void)(*engine)->submit(request_of(++handle, kPrompts[n % 4], kAnswerTokens));
    }
    const EngineLoad before = (*engine)->load();
    const auto start = Steady::now();
    while (!(*engine)->idle()) (void)(*engine)->step();
    const double seconds = seconds_since(start);
    const EngineLoad after = (*engine)->load();
    const auto tokens = static_cast<double>(after.completion_tokens_total - before.completion_tokens_total);
    const auto drafted = static_cast<double>(after.drafted_tokens_total - before.drafted_tokens_total);
    const auto accepted = static_cast<double>(after.accepted_tokens_total - before.accepted_tokens_total);
    if (tokens / seconds > best.tokens_per_second) best = {tokens / seconds, drafted > 0 ? accepted / drafted : 0};
  }
  return best;
}

/// Milliseconds to the first token: of a new prefix, and of one that is cached.
std::pair<double, double> first_token(const char* model, int threads) {
  EngineOptions options;
  options.load.threads = threads;
  options.load.digest = false;
  auto engine = open_engine(model, options);
  if (!engine) return {};
  std::pair<double, double> best{1e9, 1e9};
  SequenceHandle handle = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string prefix = std::to_string(round) + std::string(kPrefixTokensAbout, 'x');
    for (const bool is_cached : {false, true}) {
      auto request = request_of(++handle, prefix + "月", 1);
      request.cache_salt = CacheSalt{1};
      const auto start = Steady::now();
      (void)(*engine)->submit(std::move(request));
      while (!(*engine)->idle()) (void)(*engine)->step();
      double& least = is_cached ? best.second : best.first;
      least = std::min(least, seconds_since(start) * 1e3);
    }
  }
  return best;
}

int run(int argc, char** argv) {
  const char* model = argc > 1 ? argv[1] : "models/tang-moe";
  const int threads = argc > 2 ? std::atoi(argv[2]) : 2;
  for (const std::int32_t sequences : {1, 2, 4, 8, 16}) {
    const Decoded off = decode(model, threads, sequences, 0);
    const Decoded on = decode(model, threads, sequences, sequences);
    fmt::print("{:2} sequences: {:8.1f} tokens/s, with guesses {:8.1f} (x {:.2f}, {:.0f} % right)\n", sequences,
               off.tokens_per_second, on.tokens_per_second, on.tokens_per_second / off.tokens_per_second, on.right * 100);
  }
  const auto [cold, cached] = first_token(model, threads);
  fmt::print("first token behind about {} tokens: {:.2f} ms new, {:.2f} ms cached ({:.0f} %)\n", kPrefixTokensAbout, cold, cached,
             100 * cached / cold);
  return 0;
}

}  // namespace
}  // namespace tidegate::worker

int main(int argc, char** argv) { return tidegate::worker::run(argc, argv); }
