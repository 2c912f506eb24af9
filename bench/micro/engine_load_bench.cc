// Seconds from nothing to the first token, with the cache of packed weights and without.
//
//   engine_load_bench MODEL CACHE_FOLDER [THREADS]
//
// Three starts: packed in memory, packed into the folder (unless it is there), mapped from it. Each includes opening the model,
// its digest, a KV cache of 1,024 tokens and one token through the model. Whether files come from the disk or from the page cache
// is the caller's business: drop it, or run twice.
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "worker/backend/load.h"

namespace tidegate::worker {
namespace {

using Clock = std::chrono::steady_clock;

std::string_view name_of(WeightsCache outcome) {
  switch (outcome) {
    case WeightsCache::kOff:
      return "in memory";
    case WeightsCache::kHit:
      return "mapped";
    case WeightsCache::kBuilt:
      return "packed into the cache";
    case WeightsCache::kUnavailable:
      return "in memory, cache unavailable";
  }
  return "?";
}

bool start(const std::filesystem::path& model, const std::filesystem::path& folder, int threads) {
  LoadReport report;
  LoadOptions options;
  options.threads = threads;
  options.cache.folder = folder;
  options.cache.bytes_max = std::int64_t{1} << 40;
  options.report = &report;
  const auto began = Clock::now();
  const auto seconds = [began] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  auto backend = load_backend(model, options);
  if (!backend) {
    fmt::print(stderr, "{}\n", backend.error().message);
    return false;
  }
  const double loaded = seconds();
  constexpr std::int32_t kBlocks = 16;
  std::vector<std::int32_t> blocks;
  for (std::int32_t i = 0; i < kBlocks; ++i) blocks.push_back(i);
  const std::vector<TokenId> tokens{1};
  std::vector<float> logits(static_cast<std::size_t>((*backend)->facts().vocab_size));
  const BatchSequence sequence{.tokens = tokens, .position = 0, .blocks = blocks, .want_logits = true};
  if (!(*backend)->alloc_kv(kBlocks) || !(*backend)->forward({&sequence, 1}, logits)) return false;
  fmt::print("{:<30} loaded {:8.3f} s   first token {:8.3f} s   {} MiB of weights{}{}\n", name_of(report.cache), loaded, seconds(),
             (*backend)->facts().weight_bytes >> 20, report.note.empty() ? "" : "   ", report.note);
  return true;
}

}  // namespace
}  // namespace tidegate::worker

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    fmt::print(stderr, "usage: engine_load_bench MODEL CACHE_FOLDER [THREADS]\n");
    return 2;
  }
  const int threads = argc > 3 ? std::atoi(argv[3]) : 2;
  const char* const folders[] = {"", argv[2], argv[2]};
  for (const char* folder : folders) {
    if (!tidegate::worker::start(argv[1], folder, threads)) return 1;
  }
  return 0;
}
