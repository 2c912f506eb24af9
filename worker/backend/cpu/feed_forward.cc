#include "worker/backend/cpu/feed_forward.h"

#include <cstring>

namespace tidegate::worker {

FeedForward::FeedForward(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool, Matmul& matmul)
    : spec_(spec), kernels_(kernels), pool_(pool), matmul_(matmul) {}

void FeedForward::run(const LayerWeights& weights, std::int64_t rows, const float* x, float* out,
                      std::int32_t layer, TapSink* taps) {
  if (weights.moe) {
    run_moe(*weights.moe, rows, x, out, layer, taps);
  } else {
    run_dense(*weights.dense, rows, x, out);
  }
}

void FeedForward::run_dense(const MlpWeights& weights, std::int64_t rows, const float* x, float* out) {
  const std::int64_t width = weights.gate.outputs();
  gated_.grow(static_cast<std::size_t>(rows * width));
  const auto inputs = const_rows(x, spec_.hidden, rows);
  const auto gated = mutable_rows(gated_.data(), width, rows);
  const MatmulJob first[] = {{&weights.gate, &weights.up, inputs, gated}};
  matmul_.run(first);
  const auto gated_inputs = const_rows(gated_.data(), width, rows);
  const auto outputs = mutable_rows(out, spec_.hidden, rows);
  const MatmulJob second[] = {{&weights.down, nullptr, gated_inputs, outputs}};
  matmul_.run(second);
}

void FeedForward::route(const MoeWeights& weights, std::int64_t rows, const float* x) {
  const std::int64_t experts = spec_.moe.experts;
  const auto k = static_cast<std::size_t>(spec_.moe.experts_per_token);
  logits_.grow(static_cast<std::size_t>(rows * experts));
  const auto inputs = const_rows(x, spec_.hidden, rows);
  const auto outputs = mutable_rows(logits_.data(), experts, rows);
  const MatmulJob gate[] = {{&weights.gate, nullptr, inputs, outputs, /*is_exact=*/true}};
  matmul_.run(gate);

  experts_.resize(static_cast<std::size_t>(rows) * k);
  expert_weights_.resize(experts_.size());
  // An exponential and a few comparisons an expert.
  pool_.run_rows(rows, 64 * experts, [&](std::int64_t r) {
    const std::size_t at = static_cast<std::size_t>(r) * k;
    weights.router->route({logits_.data() + r * experts, static_cast<std::size_t>(experts)},
                          {std::span(experts_).subspan(at, k), std::span(expert_weights_).subspan(at, k)});
  });
}

void FeedForward::run_moe(const MoeWeights& weights, std::int64_t rows, const float* x, float* out,
                          std::int32_t layer, TapSink* taps) {
  route(weights, rows, x);
  if (taps != nullptr) tap_routes(rows, layer, *taps);

  const std::int64_t k = spec_.moe.experts_per_token;
  const std::int64_t width = spec_.moe.intermediate;
  const std::int64_t hidden = spec_.hidden;
  const bool has_shared = weights.shared && spec_.formulas.router.shared_expert;
  const std::int64_t shared_width = has_shared ? weights.shared->gate.outputs() : 0;
  gated_.grow(static_cast<std::size_t>(rows * (k * width + shared_width)));
  results_.grow(static_cast<std::size_t>(rows * k * hidden));
  float* shared_gated = gated_.data() + rows * k * width;

  // Rows by expert. Each (row, choice) owns its place in the buffers, so experts never meet.
  struct ExpertRows {
    std::vector<const float*> x;
    std::vector<float*> gated;
    std::vector<const float*> gated_inputs;
    std::vector<float*> results;
  };
  std::vector<ExpertRows> by_expert(weights.experts.size());
  for (std::int64_t slot = 0; slot < rows * k; ++slot) {
    ExpertRows& expert = by_expert[static_cast<std::size_t>(experts_[static_cast<std::size_t>(slot)])];
    expert.x.push_back(x + slot / k * hidden);
    expert.gated.push_back(gated_.data() + slot * width);
    expert.gated_inputs.push_back(gated_.data() + slot * width);
    expert.results.push_back(results_.data() + slot * hidden);
  }
  const auto inputs = const_rows(x, hidden, rows);
  const auto shared_rows = mutable_rows(shared_gated, shared_width, rows);
  const auto shared_inputs = const_rows(shared_gated, shared_width, rows);
  const auto outputs = mutable_rows(out, hidden, rows);

  std::vector<MatmulJob> jobs;
  if (has_shared) jobs.push_back({&weights.shared->gate, &weights.shared->up, inputs, shared_rows});
  for (std::size_t e = 0; e < by_expert.size(); ++e) {
    if (by_expert[e].x.empty()) continue;
    jobs.push_back({&weights.experts[e].gate, &weights.experts[e].up, by_expert[e].x, by_expert[e].gated});
  }
  matmul_.run(jobs);

  jobs.clear();
  if (has_shared) jobs.push_back({&weights.shared->down, nullptr, shared_inputs, outputs});
  for (std::size_t e = 0; e < by_expert.size(); ++e) {
    if (by_expert[e].x.empty()) continue;
    jobs.push_back({&weights.experts[e].down, nullptr, by_expert[e].gated_inputs, by_expert[e].results});
  }
  matmul_.run(jobs);

  if (!has_shared) std::memset(out, 0, static_cast<std::size_t>(rows * hidden) * sizeof(float));
  // Best expert first, whatever the order in which the experts ran.
  pool_.run_rows(rows, k * hidden, [&](std::int64_t r) {
    for (std::int64_t slot = r * k; slot < (r + 1) * k; ++slot) {
      kernels_.add_scaled(out + r * hidden, results_.data() + slot * hidden,
                          expert_weights_[static_cast<std::size_t>(slot)], static_cast<int>(hidden));
    }
  });
}

void FeedForward::tap_routes(std::int64_t rows, std::int32_t layer, TapSink& taps) const {
  const std::vector<float> indices(experts_.begin(), experts_.end());
  taps.tap("router_idx", layer, rows, spec_.moe.experts_per_token, indices.data());
  taps.tap("router_w", layer, rows, spec_.moe.experts_per_token, expert_weights_.data());
}

}  // namespace tidegate::worker
