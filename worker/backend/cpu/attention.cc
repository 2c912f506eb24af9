#include "worker/backend/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <variant>

namespace tidegate::worker {
namespace {

/// Below this many blocks of rows a thread, a block's parts are shared out between threads; above, whole blocks are.
constexpr std::int64_t kBlocksPerThreadMin = 2;
/// Parts that are shared out before they are merged, by thread: what they take does not grow with the context. More would even
/// out who does how much a little better; four are some hundred microseconds of work.
constexpr std::int64_t kPartsPerThread = 4;

/// Lanes of the heads of rows that look together.
int block_lanes(int rows, int heads) {
  return whole_lanes(rows * heads);
}

/// Rows that look together at most: two vectors of heads.
int block_rows_max(int heads) {
  return std::max(1, 2 * kLanes / heads);
}

/// Maximum, total and values of one row's heads.
std::int64_t sums_floats_of(const ModelSpec& spec) {
  return 2 * whole_lanes(spec.heads) + std::int64_t{spec.heads} * whole_lanes(spec.kv_lora_rank);
}

}  // namespace

Attention::Attention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool, Matmul& matmul)
    : spec_(spec),
      kernels_(kernels),
      pool_(pool),
      matmul_(matmul),
      lanes_(whole_lanes(spec.heads)),
      block_rows_(block_rows_max(spec.heads)),
      value_stride_(whole_lanes(spec.kv_lora_rank)),
      sums_floats_(sums_floats_of(spec)),
      scale_(static_cast<float>(spec.softmax_scale())) {
  thread_.grow(static_cast<std::size_t>(pool.threads()) * static_cast<std::size_t>(spec.cache_width() + kAttentionPart) *
               static_cast<std::size_t>(block_lanes(block_rows_, spec.heads)));
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
    pool_.run_rows(rows, spec_.q_lora_rank, [&](std::int64_t r) {
      float* row = q_a_rows[static_cast<std::size_t>(r)];
      kernels_.rms_norm(row, weights.q_a_norm.data(), row, spec_.q_lora_rank,
                        static_cast<float>(spec_.rms_eps));
    });
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
  pool_.run_rows(step.count(), 2 * spec_.cache_width(), [&](std::int64_t r) {
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
  });
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

  pool_.run_rows(rows, std::int64_t{2} * spec_.heads * spec_.rope_dim, [&](std::int64_t r) {
    for (std::int64_t head = 0; head < spec_.heads; ++head) {
      const float* from = q_.data() + (r * spec_.heads + head) * head_dim + (rope_first ? 0 : spec_.nope_dim);
      float* to = absorbed_.data() + (r * spec_.heads + head) * width + spec_.kv_lora_rank;
      std::memcpy(to, from, static_cast<std::size_t>(spec_.rope_dim) * sizeof(float));
      apply_rope({to, static_cast<std::size_t>(spec_.rope_dim)}, step.cosine.data() + r * pairs,
                 step.sine.data() + r * pairs, spec_.formulas.rope.layout);
    }
  });
}

AttentionSums Attention::sums_at(float* base, int rows) const {
  const int lanes = block_lanes(rows, spec_.heads);
  return {base, base + lanes, base + 2 * lanes, value_stride_};
}

AttentionSums Attention::sums_of_block(const QueryBlock& block) {
  return sums_at(sums_.data() + block.first * sums_floats_, block.rows);
}

std::int32_t Attention::visible_tokens(const StepRows& step, const StepRows::Row& row) const {
  return std::min(row.position + 1 + spec_.formulas.attention.causal_lookahead,
                  step.length[static_cast<std::size_t>(row.sequence)]);
}

std::int32_t Attention::parts_of(const StepRows& step, std::int64_t row) const {
  return (visible_tokens(step, step.rows[static_cast<std::size_t>(row)]) + kAttentionPart - 1) / kAttentionPart;
}

std::vector<Attention::QueryBlock> Attention::blocks_of(const StepRows& step, int rows_max) const {
  std::vector<QueryBlock> blocks;
  for (std::int64_t r = 0; r < step.count(); ++r) {
    const std::int32_t parts = parts_of(step, r);
    const bool is_joined = !blocks.empty() && blocks.back().rows < rows_max && blocks.back().parts == parts &&
                           step.rows[static_cast<std::size_t>(r)].sequence == step.rows[static_cast<std::size_t>(r - 1)].sequence;
    if (is_joined) {
      ++blocks.back().rows;
    } else {
      blocks.push_back({.first = r, .rows = 1, .parts = parts});
    }
  }
  return blocks;
}

float* Attention::load_queries(const QueryBlock& block, int thread) {
  const std::int64_t width = spec_.cache_width();
  const std::int64_t heads = block.rows * std::int64_t{spec_.heads};
  const std::int64_t lanes = block_lanes(block.rows, spec_.heads);
  float* query = thread_.data() + thread * (width + kAttentionPart) * block_lanes(block_rows_, spec_.heads);
  const float* absorbed = absorbed_.data() + block.first * spec_.heads * width;
  for (std::int64_t i = 0; i < width; ++i) {
    float* to = query + i * lanes;
    for (std::int64_t head = 0; head < heads; ++head) to[head] = absorbed[head * width + i];
    for (std::int64_t lane = heads; lane < lanes; ++lane) to[lane] = 0;
  }
  return query;
}

void Attention::attend_part(const StepRows& step, const QueryBlock& block, const float* query, std::int32_t part, KvCache& cache,
                            std::int32_t layer, int thread, const AttentionSums& out) {
  const std::int64_t width = spec_.cache_width();
  const std::int32_t first = part * kAttentionPart;
  int counts[2 * kLanes] = {};  // block_rows_ is at most so many
  for (int q = 0; q < block.rows; ++q) {
    const StepRows::Row& row = step.rows[static_cast<std::size_t>(block.first + q)];
    counts[q] = std::min(kAttentionPart, visible_tokens(step, row) - first);
  }
  const int count = counts[block.rows - 1];
  const float* tokens[kAttentionPart];
  const StepRows::Row& last = step.rows[static_cast<std::size_t>(block.first + block.rows - 1)];
  for (std::int32_t j = 0; j < count; ++j) {
    const std::int32_t position = first + j;
    tokens[j] = cache.row(layer, step.block_of(last, position), position % kKvBlockTokens);
  }
  float* thread_memory = thread_.data() + thread * (width + kAttentionPart) * block_lanes(block_rows_, spec_.heads);
  const int lanes = block_lanes(block.rows, spec_.heads);
  kernels_.attend({.query = query,
                   .tokens = tokens,
                   .count = count,
                   .heads = block.rows * spec_.heads,
                   .row_heads = spec_.heads,
                   .counts = counts,
                   .lanes = lanes,
                   .width = static_cast<int>(width),
                   .latent = spec_.kv_lora_rank,
                   .scale = scale_,
                   .scores = thread_memory + width * lanes},
                  out);
}

void Attention::attend(const StepRows& step, KvCache& cache, std::int32_t layer) {
  const std::int64_t rows = step.count();
  sums_.grow(static_cast<std::size_t>(rows * sums_floats_));
  std::vector<QueryBlock> blocks = blocks_of(step, block_rows_);
  const bool is_shared_by_block = std::ssize(blocks) >= kBlocksPerThreadMin * pool_.threads();
  if (is_shared_by_block) {
    attend_blocks(step, blocks, cache, layer);
  } else {
    attend_parts(step, blocks, cache, layer);
  }
  values_.resize(static_cast<std::size_t>(rows));
  for (const QueryBlock& block : blocks) {
    const float* values = sums_of_block(block).value;
    for (int q = 0; q < block.rows; ++q) {
      values_[static_cast<std::size_t>(block.first + q)] = values + std::int64_t{q} * spec_.heads * value_stride_;
    }
  }
}

void Attention::attend_blocks(const StepRows& step, std::span<const QueryBlock> blocks, KvCache& cache, std::int32_t layer) {
  const std::int64_t part_floats = block_rows_ * sums_floats_;
  parts_.grow(static_cast<std::size_t>(pool_.threads() * part_floats));
  pool_.run(std::ssize(blocks), [&](std::int64_t task, int thread) {
    // The last rows see most: they go first, so that no thread is left with a long one.
    const QueryBlock& block = blocks[blocks.size() - 1 - static_cast<std::size_t>(task)];
    const int heads = block.rows * spec_.heads;
    const int lanes = block_lanes(block.rows, spec_.heads);
    const float* query = load_queries(block, thread);
    const AttentionSums into = sums_of_block(block);
    attend_part(step, block, query, 0, cache, layer, thread, into);
    for (std::int32_t part = 1; part < block.parts; ++part) {
      const AttentionSums next = sums_at(parts_.data() + thread * part_floats, block.rows);
      attend_part(step, block, query, part, cache, layer, thread, next);
      kernels_.merge(into, next, heads, lanes);
    }
    kernels_.normalise(into, heads);
  });
}

void Attention::attend_parts(const StepRows& step, std::span<const QueryBlock> blocks, KvCache& cache, std::int32_t layer) {
  const std::int64_t wave_max = kPartsPerThread * pool_.threads();
  std::vector<PartTask> wave;  // a block's parts in order, over as many waves as it takes
  wave.reserve(static_cast<std::size_t>(wave_max));
  std::int64_t floats = 0;  // by the rows that there are: decode has one a block
  for (const QueryBlock& block : blocks) {
    for (std::int32_t part = 0; part < block.parts; ++part) {
      wave.push_back({&block, part, floats});
      if (part > 0) floats += block.rows * sums_floats_;
      if (std::ssize(wave) < wave_max) continue;
      attend_wave(step, wave, floats, cache, layer);
      wave.clear();
      floats = 0;
    }
  }
  if (!wave.empty()) attend_wave(step, wave, floats, cache, layer);
}

void Attention::attend_wave(const StepRows& step, std::span<const PartTask> wave, std::int64_t floats, KvCache& cache,
                            std::int32_t layer) {
  parts_.grow(static_cast<std::size_t>(floats));
  const auto sums_of_task = [&](const PartTask& task) {
    return task.part == 0 ? sums_of_block(*task.block) : sums_at(parts_.data() + task.at, task.block->rows);
  };
  pool_.run(std::ssize(wave), [&](std::int64_t index, int thread) {
    const PartTask& task = wave[static_cast<std::size_t>(index)];
    const float* query = load_queries(*task.block, thread);
    attend_part(step, *task.block, query, task.part, cache, layer, thread, sums_of_task(task));
  });
  for (const PartTask& task : wave) {
    const QueryBlock& block = *task.block;
    const int heads = block.rows * spec_.heads;
    if (task.part > 0) kernels_.merge(sums_of_block(block), sums_of_task(task), heads, block_lanes(block.rows, spec_.heads));
    if (task.part == block.parts - 1) kernels_.normalise(sums_of_block(block), heads);
  }
}

std::int64_t Attention::scratch_bytes_max(const ModelSpec& spec, int threads, std::int64_t rows) {
  const std::int64_t heads = spec.heads;
  const std::int64_t width = spec.cache_width();
  const int block_rows = block_rows_max(spec.heads);
  const std::int64_t sums = sums_floats_of(spec);
  const std::int64_t row = spec.q_lora_rank + width + sums + heads * (spec.query_head_dim() + width + spec.value_dim);
  const std::int64_t parts = kPartsPerThread * threads * block_rows * sums;
  const std::int64_t thread = threads * (width + kAttentionPart) * block_lanes(block_rows, spec.heads);
  return (rows * row + parts + thread) * static_cast<std::int64_t>(sizeof(float));
}

std::size_t Attention::scratch_bytes() const {
  return (q_a_.size() + kv_a_.size() + q_.size() + absorbed_.size() + sums_.size() + parts_.size() + heads_.size() + thread_.size()) *
         sizeof(float);
}

void Attention::lift_values(const AttentionWeights& weights, std::int64_t rows, float* out) {
  const std::int64_t values = std::int64_t{spec_.heads} * spec_.value_dim;
  heads_.grow(static_cast<std::size_t>(rows * values));
  std::vector<std::vector<const float*>> x;
  std::vector<std::vector<float*>> y;
  std::vector<MatmulJob> jobs;
  for (std::int64_t head = 0; head < spec_.heads; ++head) {
    x.emplace_back(values_);
    for (const float*& value : x.back()) value += head * value_stride_;
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
