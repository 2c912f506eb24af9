#include "worker/backend/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <variant>

namespace tidegate::worker {
namespace {

int round_up(int n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

/// Below this many rows, one row's parts are shared out between threads; above, whole rows are.
constexpr std::int64_t kRowsPerThreadMin = 2;

}  // namespace

Attention::Attention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool, Matmul& matmul)
    : spec_(spec),
      kernels_(kernels),
      pool_(pool),
      matmul_(matmul),
      lanes_(round_up(spec.heads)),
      value_stride_(round_up(spec.kv_lora_rank)),
      sums_floats_(2 * lanes_ + std::int64_t{spec.heads} * value_stride_),
      scale_(static_cast<float>(spec.softmax_scale())) {
  thread_.grow(static_cast<std::size_t>(pool.threads()) * (spec.cache_width() + kAttentionPart) * lanes_);
}

void Attention::run(const LayerWeights& layer, const StepRows& step, const float* x, KvCache& cache,
                    std::int32_t cache_layer, float* out) {
  const auto& weights = std::get<AttentionWeights>(layer.attention);
  project(weights, step.count(), x);
  write_cache(weights, step, cache, cache_layer);  // every row, before any row looks: a chunk sees itself
  absorb_queries(weights, step);
  attend(step, cache, cache_layer);
  lift_values(weights, step.count(), out);
}

void Attention::project(const AttentionWeights& weights, std::int64_t rows, const float* x) {
  const std::int64_t query = std::int64_t{spec_.heads} * spec_.query_head_dim();
  q_.grow(static_cast<std::size_t>(rows * query));
  kv_a_.grow(static_cast<std::size_t>(rows * spec_.cache_width()));
  q_a_.grow(static_cast<std::size_t>(rows * spec_.q_lora_rank));
  const auto inputs = const_rows(x, spec_.hidden, rows);
  const auto kv_rows = mutable_rows(kv_a_.data(), spec_.cache_width(), rows);
  const auto q_rows = mutable_rows(q_.data(), query, rows);
  if (weights.q_a.empty()) {
    const MatmulJob jobs[] = {{&weights.q_b, nullptr, inputs, q_rows},
                              {&weights.kv_a, nullptr, inputs, kv_rows}};
    matmul_.run(jobs);
    return;
  }
  const auto q_a_rows = mutable_rows(q_a_.data(), spec_.q_lora_rank, rows);
  const MatmulJob first[] = {{&weights.q_a, nullptr, inputs, q_a_rows},
                             {&weights.kv_a, nullptr, inputs, kv_rows}};
  matmul_.run(first);
  if (spec_.formulas.attention.norm_q_a) {
    for (float* row : q_a_rows) {
      kernels_.rms_norm(row, weights.q_a_norm.data(), row, spec_.q_lora_rank,
                        static_cast<float>(spec_.rms_eps));
    }
  }
  const auto q_a_inputs = const_rows(q_a_.data(), spec_.q_lora_rank, rows);
  const MatmulJob second[] = {{&weights.q_b, nullptr, q_a_inputs, q_rows}};
  matmul_.run(second);
}

void Attention::write_cache(const AttentionWeights& weights, const StepRows& step, KvCache& cache,
                            std::int32_t layer) {
  const AttentionFormulas& formulas = spec_.formulas.attention;
  const auto eps = static_cast<float>(spec_.rms_eps);
  const std::int64_t pairs = spec_.rope_dim / 2;
  for (std::int64_t r = 0; r < step.count(); ++r) {
    const StepRows::Row& row = step.rows[static_cast<std::size_t>(r)];
    const float* from = kv_a_.data() + r * spec_.cache_width();
    float* to = cache.row(layer, step.block_of(row, row.position), row.position % kKvBlockTokens);
    std::memcpy(to, from, static_cast<std::size_t>(spec_.cache_width()) * sizeof(float));
    if (formulas.norm_kv_a) kernels_.rms_norm(from, weights.kv_a_norm.data(), to, spec_.kv_lora_rank, eps);
    float* key = to + spec_.kv_lora_rank;
    if (formulas.norm_k_pe) kernels_.rms_norm(key, nullptr, key, spec_.rope_dim, eps);
    if (formulas.rope_k_pe) {
      apply_rope({key, static_cast<std::size_t>(spec_.rope_dim)}, step.cosine.data() + r * pairs,
                 step.sine.data() + r * pairs, spec_.formulas.rope.layout);
    }
  }
}

void Attention::absorb_queries(const AttentionWeights& weights, const StepRows& step) {
  const std::int64_t rows = step.count();
  const std::int64_t head_dim = spec_.query_head_dim();
  const std::int64_t width = spec_.cache_width();
  const bool rope_first = spec_.formulas.attention.query_rope_first;
  const std::int64_t pairs = spec_.rope_dim / 2;
  absorbed_.grow(static_cast<std::size_t>(rows * spec_.heads * width));

  std::vector<std::vector<const float*>> x;
  std::vector<std::vector<float*>> y;
  std::vector<MatmulJob> jobs;
  for (std::int64_t head = 0; head < spec_.heads; ++head) {
    const float* nope = q_.data() + head * head_dim + (rope_first ? spec_.rope_dim : 0);
    x.push_back(const_rows(nope, spec_.heads * head_dim, rows));
    y.push_back(mutable_rows(absorbed_.data() + head * width, spec_.heads * width, rows));
    jobs.push_back({&weights.key_up[static_cast<std::size_t>(head)], nullptr, x.back(), y.back()});
  }
  matmul_.run(jobs);

  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t head = 0; head < spec_.heads; ++head) {
      const float* from = q_.data() + (r * spec_.heads + head) * head_dim + (rope_first ? 0 : spec_.nope_dim);
      float* to = absorbed_.data() + (r * spec_.heads + head) * width + spec_.kv_lora_rank;
      std::memcpy(to, from, static_cast<std::size_t>(spec_.rope_dim) * sizeof(float));
      apply_rope({to, static_cast<std::size_t>(spec_.rope_dim)}, step.cosine.data() + r * pairs,
                 step.sine.data() + r * pairs, spec_.formulas.rope.layout);
    }
  }
}

AttentionSums Attention::sums_of_row(std::int64_t row) {
  float* base = sums_.data() + row * sums_floats_;
  return {base, base + lanes_, base + 2 * lanes_, value_stride_};
}

AttentionSums Attention::sums_of_part(std::int64_t part) {
  float* base = parts_.data() + part * sums_floats_;
  return {base, base + lanes_, base + 2 * lanes_, value_stride_};
}

std::int32_t Attention::visible_tokens(const StepRows& step, const StepRows::Row& row) const {
  return std::min(row.position + 1 + spec_.formulas.attention.causal_lookahead,
                  step.length[static_cast<std::size_t>(row.sequence)]);
}

void Attention::attend_part(const StepRows& step, std::int64_t r, std::int32_t part, KvCache& cache,
                            std::int32_t layer, int thread, const AttentionSums& out) {
  const StepRows::Row& row = step.rows[static_cast<std::size_t>(r)];
  const std::int64_t width = spec_.cache_width();
  float* query = thread_.data() + thread * (width + kAttentionPart) * lanes_;
  const float* absorbed = absorbed_.data() + r * spec_.heads * width;
  for (std::int64_t i = 0; i < width; ++i) {
    float* lanes = query + i * lanes_;
    for (std::int64_t head = 0; head < spec_.heads; ++head) lanes[head] = absorbed[head * width + i];
    for (std::int64_t lane = spec_.heads; lane < lanes_; ++lane) lanes[lane] = 0;
  }
  const float* tokens[kAttentionPart];
  const std::int32_t first = part * kAttentionPart;
  const std::int32_t count = std::min(kAttentionPart, visible_tokens(step, row) - first);
  for (std::int32_t j = 0; j < count; ++j) {
    const std::int32_t position = first + j;
    tokens[j] = cache.row(layer, step.block_of(row, position), position % kKvBlockTokens);
  }
  kernels_.attend({.query = query,
                   .tokens = tokens,
                   .count = count,
                   .heads = spec_.heads,
                   .lanes = lanes_,
                   .width = static_cast<int>(width),
                   .latent = spec_.kv_lora_rank,
                   .scale = scale_,
                   .scores = query + width * lanes_},
                  out);
}

void Attention::attend(const StepRows& step, KvCache& cache, std::int32_t layer) {
  const std::int64_t rows = step.count();
  sums_.grow(static_cast<std::size_t>(rows * sums_floats_));
  const auto parts_of = [&](std::int64_t r) {
    const auto& row = step.rows[static_cast<std::size_t>(r)];
    return std::int64_t{(visible_tokens(step, row) + kAttentionPart - 1) / kAttentionPart};
  };

  if (rows >= kRowsPerThreadMin * pool_.threads()) {
    parts_.grow(static_cast<std::size_t>(pool_.threads() * sums_floats_));
    pool_.run(rows, [&](std::int64_t r, int thread) {
      const AttentionSums into = sums_of_row(r);
      attend_part(step, r, 0, cache, layer, thread, into);
      for (std::int32_t part = 1; part < parts_of(r); ++part) {
        const AttentionSums next = sums_of_part(thread);
        attend_part(step, r, part, cache, layer, thread, next);
        kernels_.merge(into, next, spec_.heads, lanes_);
      }
      kernels_.normalise(into, spec_.heads);
    });
    return;
  }

  std::vector<std::pair<std::int64_t, std::int32_t>> tasks;  // (row, part), a row's parts in order
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int32_t part = 0; part < parts_of(r); ++part) tasks.emplace_back(r, part);
  }
  parts_.grow(tasks.size() * static_cast<std::size_t>(sums_floats_));
  pool_.run(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t task, int thread) {
    const auto [r, part] = tasks[static_cast<std::size_t>(task)];
    attend_part(step, r, part, cache, layer, thread, part == 0 ? sums_of_row(r) : sums_of_part(task));
  });
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    const auto [r, part] = tasks[task];
    if (part > 0)
      kernels_.merge(sums_of_row(r), sums_of_part(static_cast<std::int64_t>(task)), spec_.heads, lanes_);
  }
  for (std::int64_t r = 0; r < rows; ++r) kernels_.normalise(sums_of_row(r), spec_.heads);
}

void Attention::lift_values(const AttentionWeights& weights, std::int64_t rows, float* out) {
  const std::int64_t values = std::int64_t{spec_.heads} * spec_.value_dim;
  heads_.grow(static_cast<std::size_t>(rows * values));
  std::vector<std::vector<const float*>> x;
  std::vector<std::vector<float*>> y;
  std::vector<MatmulJob> jobs;
  for (std::int64_t head = 0; head < spec_.heads; ++head) {
    x.push_back(const_rows(sums_.data() + 2 * lanes_ + head * value_stride_, sums_floats_, rows));
    y.push_back(mutable_rows(heads_.data() + head * spec_.value_dim, values, rows));
    jobs.push_back({&weights.value_up[static_cast<std::size_t>(head)], nullptr, x.back(), y.back()});
  }
  matmul_.run(jobs);
  const auto inputs = const_rows(heads_.data(), values, rows);
  const auto outputs = mutable_rows(out, spec_.hidden, rows);
  const MatmulJob last[] = {{&weights.out, nullptr, inputs, outputs}};
  matmul_.run(last);
}

}  // namespace tidegate::worker
