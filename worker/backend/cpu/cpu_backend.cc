#include "worker/backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/core/check.h"
#include "worker/model/rope.h"

namespace tidegate::worker {
namespace {

bool all_finite(std::span<const float> values) {
  // x * 0 is 0 for finite x and NaN otherwise: one pass without a branch.
  float sum = 0;
  for (const float value : values) sum += value * 0.0f;
  return sum == 0.0f;
}

}  // namespace

Result<std::unique_ptr<CpuBackend>> CpuBackend::create(ModelSpec spec, const Checkpoint& checkpoint,
                                                       const Options& options) {
  if (options.threads < 1 || options.threads > LoadOptions::kThreadsMax) {
    return fail(Code::kInvalidArgument, "bad_option",
                fmt::format("threads is {}; 1 to {} is supported", options.threads, LoadOptions::kThreadsMax),
                "threads");
  }
  if (!isa_available(options.isa)) {
    return fail(Code::kInvalidArgument, "bad_option",
                fmt::format("no {} here: {}", isa_name(options.isa), isa_lack(options.isa)), "isa");
  }
  LoadOptions how;
  how.mtp = options.mtp;
  how.digest = options.digest;
  how.cache = options.cache;
  how.progress = options.progress;
  TG_ASSIGN(PackedLoad loaded, load_packed(spec, checkpoint, resolve_isa(options.isa), how));
  loaded.report.isa = resolve_isa(options.isa);
  if (options.report != nullptr) *options.report = loaded.report;
  return std::unique_ptr<CpuBackend>(new CpuBackend(std::move(spec), std::move(loaded), options));
}

CpuBackend::CpuBackend(ModelSpec spec, PackedLoad loaded, const Options& options)
    : spec_(std::move(spec)),
      isa_(resolve_isa(options.isa)),
      weights_(std::move(loaded.weights)),
      frequencies_(rope_frequencies(spec_)),
      rope_multiplier_(tidegate::worker::rope_multiplier(spec_)),
      pool_(options.threads),
      decoder_(spec_, weights_, kernels_for(isa_), pool_) {
  facts_.architecture = spec_.architecture;
  facts_.weights_digest = std::move(loaded.digest);
  facts_.vocab_size = spec_.vocab;
  facts_.context_max = spec_.context_max;
  facts_.hidden_size = spec_.hidden;
  facts_.parameters = loaded.plan.parameters;
  facts_.weight_bytes = loaded.plan.weight_bytes;
  facts_.kv_bytes_per_token =
      std::int64_t{cached_layers()} * spec_.cache_width() * static_cast<std::int64_t>(sizeof(float));
}

Status CpuBackend::alloc_kv(std::int32_t blocks) {
  TG_CHECK(cache_.blocks() == 0);
  TG_ASSIGN(cache_, KvCache::create(cached_layers(), blocks, spec_.cache_width()));
  return {};
}

Status CpuBackend::check(std::span<const BatchSequence> batch) const {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const BatchSequence& sequence = batch[i];
    TG_CHECK(!sequence.tokens.empty() && sequence.position >= 0 && sequence.drafts >= 0);
    TG_CHECK(sequence.drafts < std::ssize(sequence.tokens) && (sequence.drafts == 0 || sequence.want_logits));
    TG_CHECK(sequence.draft_state == nullptr || has_mtp());
    const std::int64_t length =
        std::int64_t{sequence.position} + static_cast<std::int64_t>(sequence.tokens.size());
    if (length > spec_.context_max) {
      return fail(Code::kOutOfRange, "context_length",
                  fmt::format("sequence {} would reach {} tokens; the context holds {}", i, length,
                              spec_.context_max),
                  std::to_string(i));
    }
    TG_CHECK(std::ssize(sequence.blocks) * kKvBlockTokens >= length);
    for (const std::int32_t block : sequence.blocks) TG_CHECK(block >= 0 && block < cache_.blocks());
    for (const TokenId token : sequence.tokens) {
      if (token >= 0 && token < spec_.vocab) continue;
      return fail(Code::kInvalidArgument, "bad_token",
                  fmt::format("sequence {}: token {} is not in [0, {})", i, token, spec_.vocab),
                  std::to_string(i));
    }
  }
  return {};
}

StepRows CpuBackend::flatten_step(std::span<const BatchSequence> batch) const {
  return flatten(batch, frequencies_, rope_multiplier_);
}

Status CpuBackend::forward(std::span<const BatchSequence> batch, std::span<float> logits) {
  TG_TRY(check(batch));
  if (batch.empty()) return {};
  const StepRows step = flatten_step(batch);
  const float* x = decoder_.run(step, cache_, taps_);
  if (taps_ != nullptr) tap_all_rows(step, x);
  TG_TRY(emit_states(batch, x));
  TG_TRY(emit_logits(batch, x, logits));
  follow(batch, x);
  return {};
}

Status CpuBackend::emit_logits(std::span<const BatchSequence> batch, const float* x,
                               std::span<float> logits) {
  std::vector<const float*> rows;
  std::vector<float*> outputs;
  std::vector<std::size_t> sequences;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    row += std::ssize(batch[i].tokens);
    if (!batch[i].want_logits) continue;
    for (std::int64_t wanted = row - 1 - batch[i].drafts; wanted < row; ++wanted) {
      outputs.push_back(logits.data() + rows.size() * static_cast<std::size_t>(spec_.vocab));
      rows.push_back(x + wanted * spec_.hidden);
      sequences.push_back(i);
    }
  }
  TG_CHECK(logits.size() >= rows.size() * static_cast<std::size_t>(spec_.vocab));
  if (rows.empty()) return {};
  decoder_.head(rows, weights_.norm, weights_.head, outputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (all_finite({outputs[i], static_cast<std::size_t>(spec_.vocab)})) continue;
    return fail(Code::kInternal, "numeric_fault",
                fmt::format("logits of sequence {} hold NaN or infinity", sequences[i]),
                std::to_string(sequences[i]));
  }
  return {};
}

Status CpuBackend::emit_states(std::span<const BatchSequence> batch, const float* x) const {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto rows = static_cast<std::int64_t>(batch[i].tokens.size());
    if (batch[i].states != nullptr) {
      for (std::int64_t r = 0; r < rows; ++r) {
        kernels_for(isa_).rms_norm(x + r * spec_.hidden, weights_.norm.data(), batch[i].states + r * spec_.hidden,
                                   spec_.hidden, static_cast<float>(spec_.rms_eps));
      }
      if (!all_finite({batch[i].states, static_cast<std::size_t>(rows * spec_.hidden)})) {
        return fail(Code::kInternal, "numeric_fault", fmt::format("states of sequence {} hold NaN or infinity", i),
                    std::to_string(i));
      }
    }
    x += rows * spec_.hidden;
  }
  return {};
}

void CpuBackend::tap_all_rows(const StepRows& step, const float* x) {
  const std::int64_t rows = step.count();
  std::vector<float> normed(static_cast<std::size_t>(rows * spec_.hidden));
  for (std::int64_t r = 0; r < rows; ++r) {
    kernels_for(isa_).rms_norm(x + r * spec_.hidden, weights_.norm.data(), normed.data() + r * spec_.hidden,
                               spec_.hidden, static_cast<float>(spec_.rms_eps));
  }
  taps_->tap("final_norm", -1, rows, spec_.hidden, normed.data());
  std::vector<float> logits(static_cast<std::size_t>(rows * spec_.vocab));
  decoder_.head(const_rows(x, spec_.hidden, rows), weights_.norm, weights_.head,
                mutable_rows(logits.data(), spec_.vocab, rows));
  taps_->tap("logits", -1, rows, spec_.vocab, logits.data());
}

}  // namespace tidegate::worker
