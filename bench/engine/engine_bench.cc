// engine_bench MODEL [--threads=2] [--isa=auto] [--prefill=512,2048] [--decode=1,2,4,8,16] [--chunk=512] [--rounds=3] [--cpu-time] [--no-roofline]
//
// Tokens per second of the compute half alone, and the shares of what the machine could do. MODEL: a folder or a GGUF file.
// Prints one JSON object. Each figure is the best of the rounds, since other work may share the machine; `rounds` has them all.
// --cpu-time: seconds of the process instead of the clock's, for a machine that others use (roofline.h). Decode starts from 128
// tokens of context and makes 48 steps; every sequence has its own tokens. `decode-alike` is what llama-batched-bench times: one
// token, everywhere and again and again, so that all sequences ask for the same experts.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/json_dump.h"
#include "bench/engine/roofline.h"
#include "worker/backend/load.h"

namespace tidegate::worker {
namespace {

constexpr std::int32_t kDecodeContext = 128;
constexpr std::int32_t kDecodeSteps = 48;
constexpr int kSequencesMax = 64;
constexpr int kPromptMax = 32'768;

struct Plan {
  std::string model;
  int threads = 2;
  CpuIsa isa = CpuIsa::kAuto;
  std::vector<int> prefill{512, 2048};
  std::vector<int> decode{1, 2, 4, 8, 16};
  int chunk = 512;
  int rounds = 3;
  bool roofline = true;
  bool cpu_time = false;

  [[nodiscard]] bench::Yardstick yardstick() const { return {.threads = threads, .by_cpu_time = cpu_time}; }
};

class Bench {
 public:
  Bench(Backend& backend, const Plan& plan) : backend_(backend), plan_(plan) {
    const int longest = plan.prefill.empty() ? 0 : std::ranges::max(plan.prefill);
    const int most = plan.decode.empty() ? 1 : std::ranges::max(plan.decode);
    const int tokens = std::max(longest, kDecodeContext + kDecodeSteps);
    // The first sequence holds the longest prompt, the others a chat.
    std::int32_t next = 0;
    blocks_.resize(static_cast<std::size_t>(most));
    tokens_.resize(static_cast<std::size_t>(most));
    for (int s = 0; s < most; ++s) {
      const int room = s == 0 ? tokens : kDecodeContext + kDecodeSteps;
      auto& blocks = blocks_[static_cast<std::size_t>(s)];
      for (int b = 0; b < (room + kKvBlockTokens - 1) / kKvBlockTokens; ++b) blocks.push_back(next++);
      auto& ids = tokens_[static_cast<std::size_t>(s)];
      std::uint32_t state = 12345U + static_cast<std::uint32_t>(s) * 7919U;
      for (int i = 0; i < room; ++i) {
        state = state * 1664525U + 1013904223U;
        ids.push_back(static_cast<TokenId>((state >> 8) % static_cast<std::uint32_t>(backend.facts().vocab_size)));
      }
    }
    alike_.assign(static_cast<std::size_t>(kDecodeContext + kDecodeSteps), 0);
    blocks_total_ = next;
    logits_.resize(static_cast<std::size_t>(backend.facts().vocab_size) * static_cast<std::size_t>(most));
  }

  Status prepare() { return backend_.alloc_kv(blocks_total_); }

  Result<json::object> prefill(int count) {
    std::vector<double> rates;
    for (int round = 0; round <= plan_.rounds; ++round) {
      const double start = now();
      TG_TRY(fill(0, count, plan_.chunk));
      if (round > 0) rates.push_back(count / (now() - start));  // the first touches memory
    }
    return described("prefill", count, rates);
  }

  Result<json::object> decode(int batch, bool is_alike) {
    is_alike_ = is_alike;
    std::vector<double> rates;
    for (int round = 0; round <= plan_.rounds; ++round) {
      for (int s = 0; s < batch; ++s) TG_TRY(fill(s, kDecodeContext, plan_.chunk));
      const double start = now();
      for (std::int32_t i = 0; i < kDecodeSteps; ++i) {
        std::vector<BatchSequence> sequences;
        for (int s = 0; s < batch; ++s) sequences.push_back(piece(s, kDecodeContext + i, 1, true));
        TG_TRY(backend_.forward(sequences, logits_));
      }
      if (round > 0) rates.push_back(batch * kDecodeSteps / (now() - start));
    }
    return described(is_alike ? "decode-alike" : "decode", batch, rates);
  }

 private:
  [[nodiscard]] double now() const { return plan_.yardstick().seconds(); }

  static json::object described(std::string_view what, int size, const std::vector<double>& rates) {
    json::array all;
    for (const double rate : rates) all.emplace_back(rate);
    json::object out;
    out["what"] = what;
    out["size"] = size;
    out["tokens_per_s"] = std::ranges::max(rates);
    out["rounds"] = std::move(all);
    return out;
  }

  BatchSequence piece(int sequence, std::int32_t at, std::int32_t size, bool want_logits) const {
    const std::span<const TokenId> all = is_alike_ ? alike_ : tokens_[static_cast<std::size_t>(sequence)];
    return {.tokens = all.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(size)),
            .position = at,
            .blocks = blocks_[static_cast<std::size_t>(sequence)],
            .want_logits = want_logits};
  }

  Status fill(int sequence, int count, int chunk) {
    for (int at = 0; at < count; at += chunk) {
      const int size = std::min(chunk, count - at);
      const BatchSequence part = piece(sequence, at, size, at + size == count);
      TG_TRY(backend_.forward({&part, 1}, logits_));
    }
    return {};
  }

  Backend& backend_;
  const Plan& plan_;
  std::vector<float> logits_;
  std::vector<std::vector<std::int32_t>> blocks_;
  std::vector<std::vector<TokenId>> tokens_;
  std::vector<TokenId> alike_;
  bool is_alike_ = false;
  std::int32_t blocks_total_ = 0;
};

Result<json::object> measure(const Plan& plan) {
  LoadOptions options;
  options.threads = plan.threads;
  options.isa = plan.isa;
  options.digest = false;
  TG_ASSIGN(const auto backend, load_backend(plan.model, options));
  json::object out;
  out["model"] = plan.model;
  out["threads"] = plan.threads;
  out["clock"] = plan.cpu_time ? "cpu" : "wall";
  out["isa"] = isa_name(resolve_isa(plan.isa));
  out["parameters"] = backend->facts().parameters;
  out["weight_bytes"] = backend->facts().weight_bytes;
  if (plan.roofline) {
    out["read_bytes_per_s"] = plan.yardstick().read_bandwidth();
    out["fma_flops"] = plan.yardstick().peak_fma();
    out["bf16_flops"] = plan.yardstick().peak_bf16_dot();
    out["bf16_tile_flops"] = plan.yardstick().peak_bf16_tiles();
    out["int8_ops"] = plan.yardstick().peak_int8_dot();
  }
  Bench bench(*backend, plan);
  TG_TRY(bench.prepare());
  json::array figures;
  for (const int count : plan.prefill) {
    TG_ASSIGN(json::object figure, bench.prefill(count));
    figures.emplace_back(std::move(figure));
  }
  for (const bool is_alike : {false, true}) {
    for (const int batch : plan.decode) {
      TG_ASSIGN(json::object figure, bench.decode(batch, is_alike));
      figures.emplace_back(std::move(figure));
    }
  }
  out["figures"] = std::move(figures);
  return out;
}

bool read_number(std::string_view text, int limit, int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= 1 && out <= limit;
}

bool read_list(std::string_view text, int limit, std::vector<int>& out) {
  out.clear();
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    int value = 0;
    if (!read_number(text.substr(0, comma), limit, value)) return false;
    out.push_back(value);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return true;
}

bool read_isa(std::string_view name, CpuIsa& out) {
  for (int i = 0; i < kCpuIsas; ++i) {
    out = static_cast<CpuIsa>(i);
    if (isa_name(out) != name) continue;
    if (isa_available(out)) return true;
    fmt::print(stderr, "engine_bench: no {} here: {}\n", name, isa_lack(out));
    return false;
  }
  return false;
}

bool read_word(std::string_view word, Plan& plan) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
  if (name == "--threads") return read_number(value, LoadOptions::kThreadsMax, plan.threads);
  if (name == "--isa") return read_isa(value, plan.isa);
  if (name == "--prefill") return read_list(value, kPromptMax, plan.prefill);
  if (name == "--decode") return read_list(value, kSequencesMax, plan.decode);
  if (name == "--chunk") return read_number(value, kPromptMax, plan.chunk);
  if (name == "--rounds") return read_number(value, 100, plan.rounds);
  if (name == "--cpu-time") {
    plan.cpu_time = true;
    return true;
  }
  if (name == "--no-roofline") {
    plan.roofline = false;
    return true;
  }
  if (name.starts_with("--") || !plan.model.empty()) return false;
  plan.model = word;
  return true;
}

}  // namespace
}  // namespace tidegate::worker

int main(int argc, char** argv) {
  using namespace tidegate;
  worker::Plan plan;
  bool is_understood = true;
  for (int i = 1; i < argc; ++i) is_understood = is_understood && worker::read_word(argv[i], plan);
  if (!is_understood || plan.model.empty()) {
    fmt::print(stderr,
               "usage: engine_bench MODEL [--threads=2] [--isa=auto] [--prefill=512,2048] [--decode=1,2,4,8,16] [--chunk=512] "
               "[--rounds=3] [--cpu-time] [--no-roofline]\n");
    return 2;
  }
  Result<json::object> out = worker::measure(plan);
  if (!out) {
    fmt::print(stderr, "engine_bench: {}\n", out.error().message);
    return 1;
  }
  fmt::print("{}\n", json::dump(json::value(*std::move(out))));
  return 0;
}
