#include "worker/backend/cpu/decoder.h"

namespace tidegate::worker {

Decoder::Decoder(const ModelSpec& spec, const ModelWeights& weights, const KernelTable& kernels,
                 ComputePool& pool)
    : spec_(spec),
      weights_(weights),
      kernels_(kernels),
      pool_(pool),
      matmul_(kernels, pool, spec.formulas.feed_forward.gate),
      attention_(make_attention(spec, kernels, pool, matmul_)),
      feed_forward_(spec, kernels, pool, matmul_) {}

float* Decoder::run(const StepRows& step, KvCache& cache, TapSink* taps) {
  const auto hidden = static_cast<std::size_t>(spec_.hidden);
  x_.grow(static_cast<std::size_t>(step.count()) * hidden);
  pool_.run_rows(step.count(), spec_.hidden, [&](std::int64_t row) {
    const auto r = static_cast<std::size_t>(row);
    weights_.embedding.read(step.rows[r].token, {x_.data() + r * hidden, hidden});
  });
  if (taps != nullptr) taps->tap("embed", -1, step.count(), spec_.hidden, x_.data());
  for (std::int32_t layer = 0; layer < spec_.layers; ++layer) {
    run_block(weights_.layers[static_cast<std::size_t>(layer)], step, cache, layer, x_.data(), taps);
  }
  return x_.data();
}

void Decoder::run_block(const LayerWeights& layer, const StepRows& step, KvCache& cache, std::int32_t index,
                        float* x, TapSink* taps) {
  const std::int64_t rows = step.count();
  const int hidden = spec_.hidden;
  const auto eps = static_cast<float>(spec_.rms_eps);
  normed_.grow(static_cast<std::size_t>(rows * hidden));
  delta_.grow(static_cast<std::size_t>(rows * hidden));
  const auto norm_rows = [&](const std::vector<float>& weight) {
    pool_.run_rows(rows, hidden, [&](std::int64_t r) {
      kernels_.rms_norm(x + r * hidden, weight.data(), normed_.data() + r * hidden, hidden, eps);
    });
  };
  const auto add_delta = [&] {
    pool_.run_rows(rows, hidden, [&](std::int64_t r) {
      kernels_.add_scaled(x + r * hidden, delta_.data() + r * hidden, 1.0f, hidden);
    });
  };

  norm_rows(layer.attention_norm);
  attention_->run(layer, step, normed_.data(), cache, index, delta_.data());
  add_delta();
  if (taps != nullptr) taps->tap("attn", index, rows, hidden, x);

  norm_rows(layer.ffn_norm);
  feed_forward_.run(layer, rows, normed_.data(), delta_.data(), index, taps);
  add_delta();
  if (taps != nullptr) taps->tap("ffn", index, rows, hidden, x);
}

void Decoder::head(std::span<const float* const> x_rows, const std::vector<float>& norm,
                   const PackedMatrix& head, std::span<float* const> logits) {
  const auto rows = static_cast<std::int64_t>(x_rows.size());
  normed_.grow(static_cast<std::size_t>(rows * spec_.hidden));
  for (std::int64_t r = 0; r < rows; ++r) {
    kernels_.rms_norm(x_rows[static_cast<std::size_t>(r)], norm.data(), normed_.data() + r * spec_.hidden,
                      spec_.hidden, static_cast<float>(spec_.rms_eps));
  }
  const auto inputs = const_rows(normed_.data(), spec_.hidden, rows);
  const MatmulJob jobs[] = {{&head, nullptr, inputs, logits}};
  matmul_.run(jobs);
}

}  // namespace tidegate::worker
