// Tokens per second of the CPU backend alone, without sampling or scheduling.
//
//   engine_decode_bench [MODEL_DIR] [THREADS] [auto|scalar|avx2|avx512]
//
// Prints prefill of 512 tokens in chunks of 128, and decode at batch 1, 4 and 16 from a context of 64 to 192
// tokens (what a short chat sees). The best of three rounds, since other work may share the machine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "worker/backend/load.h"

namespace tidegate::worker {
namespace {

constexpr int kRounds = 3;
constexpr std::int32_t kPrefillTokens = 512;
constexpr std::int32_t kPrefillChunk = 128;
constexpr std::int32_t kDecodeContext = 64;
constexpr std::int32_t kDecodeSteps = 128;
constexpr std::int32_t kBatchMax = 16;
constexpr std::int32_t kBlocksPerSequence = (kPrefillTokens + kKvBlockTokens - 1) / kKvBlockTokens;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Bench {
 public:
  explicit Bench(Backend& backend)
      : backend_(backend), logits_(static_cast<std::size_t>(backend.facts().vocab_size) * kBatchMax) {
    for (std::int32_t s = 0; s < kBatchMax; ++s) {
      for (std::int32_t b = 0; b < kBlocksPerSequence; ++b) blocks_[s].push_back(s * kBlocksPerSequence + b);
      for (std::int32_t i = 0; i < kPrefillTokens; ++i) {
        tokens_[s].push_back((7 + 31 * i + 977 * s) % backend.facts().vocab_size);
      }
    }
  }

  bool prefill(std::int32_t sequence, std::int32_t count) {
    for (std::int32_t at = 0; at < count; at += kPrefillChunk) {
      const std::int32_t size = std::min(kPrefillChunk, count - at);
      if (!step({piece(sequence, at, size, at + size == count)})) return false;
    }
    return true;
  }

  double prefill_rate() {
    double best = 0;
    for (int round = 0; round < kRounds; ++round) {
      const auto start = Clock::now();
      if (!prefill(0, kPrefillTokens)) return 0;
      best = std::max(best, kPrefillTokens / seconds_since(start));
    }
    return best;
  }

  double decode_rate(std::int32_t batch) {
    double best = 0;
    for (int round = 0; round < kRounds; ++round) {
      for (std::int32_t s = 0; s < batch; ++s) {
        if (!prefill(s, kDecodeContext)) return 0;
      }
      const auto start = Clock::now();
      for (std::int32_t i = 0; i < kDecodeSteps; ++i) {
        std::vector<BatchSequence> sequences;
        for (std::int32_t s = 0; s < batch; ++s) sequences.push_back(piece(s, kDecodeContext + i, 1, true));
        if (!step(sequences)) return 0;
      }
      best = std::max(best, batch * kDecodeSteps / seconds_since(start));
    }
    return best;
  }

 private:
  BatchSequence piece(std::int32_t sequence, std::int32_t at, std::int32_t size, bool want_logits) const {
    const auto all = std::span(tokens_[sequence]);
    return {.tokens = all.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(size)),
            .position = at,
            .blocks = blocks_[sequence],
            .want_logits = want_logits};
  }

  bool step(const std::vector<BatchSequence>& batch) {
    const Status status = backend_.forward(batch, logits_);
    if (!status) fmt::print(stderr, "forward failed: {}\n", status.error().to_string());
    return status.has_value();
  }

  Backend& backend_;
  std::vector<float> logits_;
  std::vector<std::int32_t> blocks_[kBatchMax];
  std::vector<TokenId> tokens_[kBatchMax];
};

CpuIsa parse_isa(std::string_view name) {
  for (const CpuIsa isa : {CpuIsa::kScalar, CpuIsa::kAvx2, CpuIsa::kAvx512}) {
    if (isa_name(isa) == name) return isa;
  }
  return CpuIsa::kAuto;
}

int run(int argc, char** argv) {
  const char* model = argc > 1 ? argv[1] : "models/tang-moe";
  const int threads = argc > 2 ? std::atoi(argv[2]) : 2;
  const CpuIsa isa = parse_isa(argc > 3 ? argv[3] : "auto");
  const auto start = Clock::now();
  auto backend = load_backend(model, {.threads = threads, .isa = isa});
  if (!backend) {
    fmt::print(stderr, "{}\n", backend.error().to_string());
    return 1;
  }
  fmt::print("model {}: {:.1f} M parameters, {:.1f} MB, {} threads, {} kernels, loaded in {:.0f} ms\n", model,
             static_cast<double>((*backend)->facts().parameters) / 1e6,
             static_cast<double>((*backend)->facts().weight_bytes) / 1e6, threads, isa_name(resolve_isa(isa)),
             seconds_since(start) * 1e3);
  if (const Status status = (*backend)->alloc_kv(kBatchMax * kBlocksPerSequence); !status) return 1;
  Bench bench(**backend);
  fmt::print("prefill            {:>8.0f} tokens/s\n", bench.prefill_rate());
  for (const std::int32_t batch : {1, 4, 16}) {
    fmt::print("decode, batch {:>2}   {:>8.0f} tokens/s\n", batch, bench.decode_rate(batch));
  }
  return 0;
}

}  // namespace
}  // namespace tidegate::worker

int main(int argc, char** argv) {
  return tidegate::worker::run(argc, argv);
}
