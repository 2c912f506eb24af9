#include "worker/backend/cpu/grouped_attention.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <variant>
#include <vector>

namespace tidegate::worker {
namespace {

/// Below this many (row, kv head) pairs a thread, their parts are shared out between threads; above, whole pairs are.
constexpr std::int64_t kUnitsPerThreadMin = 2;
/// Parts that are shared out before they are merged, by thread: what they take does not grow with the context.
constexpr std::int64_t kPartsInWave = 4;

}  // namespace

GroupedAttention::GroupedAttention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool,
                                   Matmul& matmul)
    : spec_(spec),
      kernels_(kernels),
      pool_(pool),
      matmul_(matmul),
      head_dim_(spec.rope_dim),
      group_(spec.group_heads()),
      lanes_(whole_lanes(spec.group_heads())),
      value_stride_(whole_lanes(spec.rope_dim)),
      sums_floats_(2 * lanes_ + std::int64_t{group_} * value_stride_),
      thread_floats_(std::int64_t{head_dim_ + kAttentionPart} * lanes_),
      scale_(static_cast<float>(spec.softmax_scale())) {
  thread_.grow(static_cast<std::size_t>(pool.threads() * thread_floats_));
}

void GroupedAttention::run(const LayerWeights& layer, const StepRows& step, const float* x, KvCache& cache,
                           std::int32_t cache_layer, float* out) {
  const auto& weights = std::get<GroupedWeights>(layer.attention);
  const std::int64_t rows = step.count();
  project(weights, rows, x);
  rotate(step, spec_.heads, q_.data());
  rotate(step, spec_.kv_heads, k_.data());
  write_cache(step, cache, cache_layer);  // every row, before any row looks: a chunk sees itself
  attend(step, cache, cache_layer);
  gather_heads(rows);
  const auto inputs = const_rows(heads_.data(), std::int64_t{spec_.heads} * head_dim_, rows);
  const auto outputs = mutable_rows(out, spec_.hidden, rows);
  const MatmulJob last[] = {{&weights.out, nullptr, inputs, outputs}};
  matmul_.run(last);
}

void GroupedAttention::project(const GroupedWeights& weights, std::int64_t rows, const float* x) {
  const std::int64_t query = std::int64_t{spec_.heads} * head_dim_;
  const std::int64_t key = std::int64_t{spec_.kv_heads} * head_dim_;
  q_.grow(static_cast<std::size_t>(rows * query));
  k_.grow(static_cast<std::size_t>(rows * key));
  v_.grow(static_cast<std::size_t>(rows * key));
  const auto inputs = const_rows(x, spec_.hidden, rows);
  const auto q_rows = mutable_rows(q_.data(), query, rows);
  const auto k_rows = mutable_rows(k_.data(), key, rows);
  const auto v_rows = mutable_rows(v_.data(), key, rows);
  const MatmulJob jobs[] = {{&weights.q, nullptr, inputs, q_rows},
                            {&weights.k, nullptr, inputs, k_rows},
                            {&weights.v, nullptr, inputs, v_rows}};
  matmul_.run(jobs);
  if (!spec_.formulas.attention.qkv_bias) return;
  add_bias(weights.q_bias, rows, q_.data());
  add_bias(weights.k_bias, rows, k_.data());
  add_bias(weights.v_bias, rows, v_.data());
}

void GroupedAttention::add_bias(const std::vector<float>& bias, std::int64_t rows, float* y) {
  const auto width = static_cast<std::int64_t>(bias.size());  // 0: the model has none
  for (std::int64_t r = 0; r < rows; ++r) {
    kernels_.add_scaled(y + r * width, bias.data(), 1.0f, static_cast<int>(width));
  }
}

void GroupedAttention::rotate(const StepRows& step, std::int32_t heads, float* y) const {
  const std::int64_t pairs = head_dim_ / 2;
  for (std::int64_t r = 0; r < step.count(); ++r) {
    for (std::int64_t head = 0; head < heads; ++head) {
      apply_rope({y + (r * heads + head) * head_dim_, static_cast<std::size_t>(head_dim_)},
                 step.cosine.data() + r * pairs, step.sine.data() + r * pairs, spec_.formulas.rope.layout);
    }
  }
}

void GroupedAttention::write_cache(const StepRows& step, KvCache& cache, std::int32_t layer) {
  const auto bytes = static_cast<std::size_t>(head_dim_) * sizeof(float);
  for (std::int64_t r = 0; r < step.count(); ++r) {
    const StepRows::Row& row = step.rows[static_cast<std::size_t>(r)];
    float* to = cache.row(layer, step.block_of(row, row.position), row.position % kKvBlockTokens);
    for (std::int64_t kv = 0; kv < spec_.kv_heads; ++kv) {
      const std::int64_t from = (r * spec_.kv_heads + kv) * head_dim_;
      std::memcpy(to + 2 * kv * head_dim_, v_.data() + from, bytes);
      std::memcpy(to + (2 * kv + 1) * head_dim_, k_.data() + from, bytes);
    }
  }
}

std::int64_t GroupedAttention::query_head(std::int64_t kv_head, std::int64_t member) const {
  switch (spec_.formulas.attention.kv_sharing) {
    case KvHeadSharing::kNeighbours:
      return kv_head * group_ + member;
    case KvHeadSharing::kTiled:
      return member * spec_.kv_heads + kv_head;
  }
  return 0;
}

std::int32_t GroupedAttention::visible_tokens(const StepRows& step, const StepRows::Row& row) const {
  return std::min(row.position + 1 + spec_.formulas.attention.causal_lookahead,
                  step.length[static_cast<std::size_t>(row.sequence)]);
}

AttentionSums GroupedAttention::sums_at(AlignedBuffer<float>& buffer, std::int64_t index) const {
  float* base = buffer.data() + index * sums_floats_;
  return {base, base + lanes_, base + 2 * lanes_, value_stride_};
}

void GroupedAttention::attend_part(const StepRows& step, std::int64_t unit, std::int32_t part, KvCache& cache,
                                   std::int32_t layer, int thread, const AttentionSums& out) {
  const std::int64_t r = unit / spec_.kv_heads;
  const std::int64_t kv = unit % spec_.kv_heads;
  const StepRows::Row& row = step.rows[static_cast<std::size_t>(r)];
  float* query = thread_.data() + thread * thread_floats_;
  for (std::int64_t lane = 0; lane < lanes_; ++lane) {
    const float* from =
        lane < group_ ? q_.data() + (r * spec_.heads + query_head(kv, lane)) * head_dim_ : nullptr;
    for (std::int64_t i = 0; i < head_dim_; ++i) query[i * lanes_ + lane] = from != nullptr ? from[i] : 0.0f;
  }
  const float* tokens[kAttentionPart];
  const std::int32_t first = part * kAttentionPart;
  const std::int32_t count = std::min(kAttentionPart, visible_tokens(step, row) - first);
  for (std::int32_t j = 0; j < count; ++j) {
    const std::int32_t position = first + j;
    tokens[j] =
        cache.row(layer, step.block_of(row, position), position % kKvBlockTokens) + 2 * kv * head_dim_;
  }
  kernels_.attend({.query = query,
                   .tokens = tokens,
                   .count = count,
                   .heads = group_,
                   .lanes = lanes_,
                   .width = head_dim_,
                   .latent = head_dim_,
                   .key_offset = head_dim_,
                   .scale = scale_,
                   .scores = query + std::int64_t{head_dim_} * lanes_},
                  out);
}

void GroupedAttention::attend(const StepRows& step, KvCache& cache, std::int32_t layer) {
  const std::int64_t units = step.count() * spec_.kv_heads;
  sums_.grow(static_cast<std::size_t>(units * sums_floats_));
  const auto parts_of = [&](std::int64_t unit) {
    const auto& row = step.rows[static_cast<std::size_t>(unit / spec_.kv_heads)];
    return (visible_tokens(step, row) + kAttentionPart - 1) / kAttentionPart;
  };

  if (units >= kUnitsPerThreadMin * pool_.threads()) {
    parts_.grow(static_cast<std::size_t>(pool_.threads() * sums_floats_));
    pool_.run(units, [&](std::int64_t unit, int thread) {
      const AttentionSums into = sums_at(sums_, unit);
      attend_part(step, unit, 0, cache, layer, thread, into);
      for (std::int32_t part = 1; part < parts_of(unit); ++part) {
        const AttentionSums next = sums_at(parts_, thread);
        attend_part(step, unit, part, cache, layer, thread, next);
        kernels_.merge(into, next, group_, lanes_);
      }
      kernels_.normalise(into, group_);
    });
    return;
  }

  const std::int64_t wave_max = kPartsInWave * pool_.threads();
  parts_.grow(static_cast<std::size_t>(wave_max * sums_floats_));
  std::vector<PartTask> wave;  // a unit's parts in order, over as many waves as it takes
  wave.reserve(static_cast<std::size_t>(wave_max));
  for (std::int64_t unit = 0; unit < units; ++unit) {
    for (std::int32_t part = 0; part < parts_of(unit); ++part) {
      wave.push_back({unit, part});
      if (std::ssize(wave) < wave_max) continue;
      attend_wave(step, wave, cache, layer);
      wave.clear();
    }
  }
  if (!wave.empty()) attend_wave(step, wave, cache, layer);
  for (std::int64_t unit = 0; unit < units; ++unit) kernels_.normalise(sums_at(sums_, unit), group_);
}

void GroupedAttention::attend_wave(const StepRows& step, std::span<const PartTask> wave, KvCache& cache, std::int32_t layer) {
  pool_.run(std::ssize(wave), [&](std::int64_t index, int thread) {
    const PartTask& task = wave[static_cast<std::size_t>(index)];
    attend_part(step, task.unit, task.part, cache, layer, thread,
                task.part == 0 ? sums_at(sums_, task.unit) : sums_at(parts_, index));
  });
  for (std::int64_t index = 0; index < std::ssize(wave); ++index) {
    const PartTask& task = wave[static_cast<std::size_t>(index)];
    if (task.part > 0) kernels_.merge(sums_at(sums_, task.unit), sums_at(parts_, index), group_, lanes_);
  }
}

std::int64_t GroupedAttention::scratch_bytes_max(const ModelSpec& spec, int threads, std::int64_t rows) {
  const std::int64_t head_dim = spec.rope_dim;
  const int lanes = whole_lanes(spec.group_heads());
  const std::int64_t sums = 2 * lanes + std::int64_t{spec.group_heads()} * whole_lanes(spec.rope_dim);
  const std::int64_t row = 2 * (std::int64_t{spec.heads} + spec.kv_heads) * head_dim + spec.kv_heads * sums;
  const std::int64_t parts = kPartsInWave * threads * sums;
  const std::int64_t thread = threads * (head_dim + kAttentionPart) * lanes;
  return (rows * row + parts + thread) * static_cast<std::int64_t>(sizeof(float));
}

std::size_t GroupedAttention::scratch_bytes() const {
  return (q_.size() + k_.size() + v_.size() + sums_.size() + parts_.size() + heads_.size() + thread_.size()) * sizeof(float);
}

void GroupedAttention::gather_heads(std::int64_t rows) {
  heads_.grow(static_cast<std::size_t>(rows * spec_.heads * head_dim_));
  for (std::int64_t unit = 0; unit < rows * spec_.kv_heads; ++unit) {
    const std::int64_t r = unit / spec_.kv_heads;
    const AttentionSums sums = sums_at(sums_, unit);
    for (std::int64_t member = 0; member < group_; ++member) {
      const std::int64_t head = query_head(unit % spec_.kv_heads, member);
      std::memcpy(heads_.data() + (r * spec_.heads + head) * head_dim_, sums.value + member * value_stride_,
                  static_cast<std::size_t>(head_dim_) * sizeof(float));
    }
  }
}

}  // namespace tidegate::worker
