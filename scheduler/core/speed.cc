#include "scheduler/core/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tidegate::scheduler {

namespace {

constexpr double kPrefillArithmetic = 0.25;
constexpr double kDecodeArithmetic = 0.25;
constexpr double kDecodeBandwidth = 0.5;
constexpr double kLinkShare = 0.6;
constexpr double kExchangeSeconds = 20e-6;
constexpr std::int64_t kContextUsual = 4096;
constexpr std::int64_t kBatchPerGroupMax = 128;

double peak_flops(const AcceleratorKind& accelerator, Precision precision) {
  const bool has_fp8 = precision == Precision::kFp8 || precision == Precision::kFp8Block;
  if (has_fp8 && accelerator.fp8_flops > 0) return static_cast<double>(accelerator.fp8_flops);
  return static_cast<double>(accelerator.bf16_flops);
}

// Of one new token that sees `context` others: the weights it passes, and attention in the form that decoding uses.
double flops_per_token(const ModelShape& shape, const ModelSizes& sizes, double context, bool absorbed) {
  const double embedding = static_cast<double>(shape.vocab) * shape.hidden;
  const double weights = 2 * (static_cast<double>(sizes.active_parameters) - (shape.tied_embeddings ? 0 : embedding));
  double per_head = 2.0 * shape.head_dim;
  if (shape.is_latent()) {
    per_head =
        absorbed ? 2.0 * shape.kv_lora_rank + shape.rope_dim : 1.0 * shape.nope_dim + shape.rope_dim + shape.value_dim;
  }
  return weights + 2 * per_head * shape.heads * context * shape.layers;
}

// Bytes a rank sends for one token of its own work in a whole pass.
double link_bytes_per_token(const ModelShape& shape, const Layout& layout) {
  const double hidden = shape.hidden;
  double bytes = 0;
  // Two all-reduces a layer, BF16, each moving about twice the vector.
  if (layout.tensor > 1) bytes += 2.0 * shape.layers * hidden * 2 * 2 * (layout.tensor - 1) / layout.tensor;
  // Dispatch in one byte a number, combine in two.
  if (layout.expert > 1 && layout.tensor == 1) bytes += 3.0 * shape.moe_layers() * shape.experts_per_token * hidden;
  return bytes;
}

double routed_bytes_of_rank(const ModelShape& shape, const ModelSizes& sizes, const Fit& fit) {
  if (fit.layout.is_expert_unit) {
    return static_cast<double>(shape.moe_layers()) * fit.experts_per_rank * static_cast<double>(sizes.expert.bytes);
  }
  return static_cast<double>(sizes.routed_experts.bytes) / fit.ranks;
}

// Share of the experts that at least one of `tokens` tokens needs.
double experts_touched(const ModelShape& shape, double tokens) {
  if (!shape.is_moe()) return 0;
  return 1 - std::pow(1 - static_cast<double>(shape.experts_per_token) / shape.experts, tokens);
}

double link_seconds(const AcceleratorKind& accelerator, double bytes) {
  return accelerator.link_bytes_per_s > 0 ? bytes / (static_cast<double>(accelerator.link_bytes_per_s) * kLinkShare)
                                          : 0;
}

/// Time in which every sequence of `batch` gets one more token.
double decode_seconds(const ModelShape& shape, Precision precision, const ModelSizes& sizes, const Fit& fit,
                      const AcceleratorKind& accelerator, double context, double batch) {
  const Layout& layout = fit.layout;
  // With stages, each works on its share of the batch while the others work on theirs.
  const double at_once = std::max(1.0, batch / layout.pipeline);
  const double of_group = at_once / layout.attention_groups();
  const double routed = routed_bytes_of_rank(shape, sizes, fit);
  const double weights =
      static_cast<double>(fit.weights_bytes_per_rank) - routed * (1 - experts_touched(shape, at_once));
  const double cache = of_group * context * static_cast<double>(fit.kv_bytes_per_token_rank);
  const double memory = (weights + cache) / (static_cast<double>(accelerator.bandwidth_bytes_per_s) * kDecodeBandwidth);
  const double flops = flops_per_token(shape, sizes, context, true) * at_once / fit.ranks;
  const double arithmetic = flops / (peak_flops(accelerator, precision) * kDecodeArithmetic);
  // A group of TP ranks moves every token of its own; experts are dealt tokens by all ranks alike.
  const double sent = link_bytes_per_token(shape, layout) * of_group / layout.pipeline;
  const double exchanges = fit.ranks > 1 ? 2.0 * shape.layers / layout.pipeline * kExchangeSeconds : 0;
  return (std::max(memory, arithmetic) + link_seconds(accelerator, sent) + exchanges) * layout.pipeline;
}

double prefill_rate(const ModelShape& shape, Precision precision, const ModelSizes& sizes, const Fit& fit,
                    const AcceleratorKind& accelerator, double context) {
  // On average a token of a prompt sees half of it.
  const double flops = flops_per_token(shape, sizes, context / 2, false);
  const double arithmetic = flops / (fit.ranks * peak_flops(accelerator, precision) * kPrefillArithmetic);
  const double sent = link_bytes_per_token(shape, fit.layout) / (fit.layout.attention_groups() * fit.layout.pipeline);
  return 1 / (arithmetic + link_seconds(accelerator, sent));
}

Status check_most(std::string_view field, std::int64_t value, std::int64_t most) {
  if (value >= 0 && value <= most) return {};
  return fail(Code::kInvalidArgument, "out_of_range", fmt::format("{} must be 0 to {}, not {}", field, most, value),
              std::string(field));
}

}  // namespace

Result<SpeedEstimate> estimate_speed(const ModelShape& shape, Precision precision, const Fit& fit,
                                     const AcceleratorKind& accelerator, std::int64_t context, std::int64_t batch) {
  if (accelerator.bandwidth_bytes_per_s <= 0 || peak_flops(accelerator, precision) <= 0) {
    return fail(
        Code::kFailedPrecondition, "unknown_speed",
        fmt::format("the bandwidth or the arithmetic of '{}' is not known; give its bandwidth_gb_s and bf16_tflops in "
                    "models/accelerators",
                    accelerator.name),
        "accelerator");
  }
  TG_TRY(check_most("context", context, fit.context_max));
  SpeedEstimate out;
  out.context = context > 0 ? context : std::min(kContextUsual, std::max<std::int64_t>(1, fit.context_max));
  const std::int64_t groups = fit.layout.attention_groups();
  const std::int64_t most = std::max<std::int64_t>(1, fit.kv_tokens_per_group / out.context) * groups;
  TG_TRY(check_most("batch", batch, most));
  out.batch = batch > 0 ? batch : std::min(most, kBatchPerGroupMax * groups);
  const ModelSizes sizes = model_sizes(shape, precision);
  const double step = decode_seconds(shape, precision, sizes, fit, accelerator, static_cast<double>(out.context),
                                     static_cast<double>(out.batch));
  out.decode_tokens_per_s = static_cast<double>(out.batch) / step;
  out.decode_tokens_per_s_each = 1 / step;
  out.prefill_tokens_per_s = prefill_rate(shape, precision, sizes, fit, accelerator, static_cast<double>(out.context));
  return out;
}

}  // namespace tidegate::scheduler
