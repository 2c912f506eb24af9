#include "worker/model/weight_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

namespace tidegate::worker {
namespace {

using Shape = std::vector<std::int64_t>;

std::unexpected<Error> bad_weight(const std::string& name, std::string_view what) {
  return fail(Code::kInvalidArgument, "bad_weights", fmt::format("tensor '{}' {}", name, what), name);
}

/// Lists the tensors of a spec in file order.
class Planner {
 public:
  /// More than `weights_max` weights (those that are there) are not listed: one of the listed ones is missing then, and a
  /// config of 1024 layers with 4096 experts each is refused without listing twelve million names.
  Planner(const ModelSpec& spec, WeightPlan& plan, std::size_t weights_max)
      : spec_(spec), plan_(plan), weights_max_(weights_max) {}

  void add_model() {
    add("model.embed_tokens.weight", {spec_.vocab, spec_.hidden}, WeightKind::kTable);
    for (std::int32_t layer = 0; layer < spec_.layers && !is_over(); ++layer) add_block(layer);
    add("model.norm.weight", {spec_.hidden}, WeightKind::kNorm);
    if (!spec_.tied_head) add("lm_head.weight", {spec_.vocab, spec_.hidden}, WeightKind::kMatrix);
  }

  void add_mtp(std::int32_t layer) {
    const std::string p = fmt::format("model.layers.{}.", layer);
    if (plan_.mtp_has_own_embedding)
      add(p + "embed_tokens.weight", {spec_.vocab, spec_.hidden}, WeightKind::kTable);
    add(p + "enorm.weight", {spec_.hidden}, WeightKind::kNorm);
    add(p + "hnorm.weight", {spec_.hidden}, WeightKind::kNorm);
    add(p + "eh_proj.weight", {spec_.hidden, 2 * spec_.hidden}, WeightKind::kMatrix);
    add_block(layer);
    add(p + "shared_head.norm.weight", {spec_.hidden}, WeightKind::kNorm);
    if (plan_.mtp_has_own_head)
      add(p + "shared_head.head.weight", {spec_.vocab, spec_.hidden}, WeightKind::kMatrix);
  }

 private:
  void add(std::string name, Shape shape, WeightKind kind) {
    if (!is_over()) plan_.weights.push_back({std::move(name), std::move(shape), kind});
  }
  [[nodiscard]] bool is_over() const { return plan_.weights.size() > weights_max_; }

  void add_block(std::int32_t layer) {
    const std::string p = fmt::format("model.layers.{}.", layer);
    add(p + "input_layernorm.weight", {spec_.hidden}, WeightKind::kNorm);
    add_attention(p + "self_attn.");
    add(p + "post_attention_layernorm.weight", {spec_.hidden}, WeightKind::kNorm);
    if (!spec_.is_moe(layer)) {
      add_mlp(p + "mlp.", spec_.dense_intermediate);
      return;
    }
    add(p + "mlp.gate.weight", {spec_.moe.experts, spec_.hidden}, WeightKind::kTable);
    if (spec_.moe.correction_bias) {
      add(p + "mlp.gate.e_score_correction_bias", {spec_.moe.experts}, WeightKind::kRouterBias);
    }
    for (std::int32_t e = 0; e < spec_.moe.experts && !is_over(); ++e) {
      add_mlp(fmt::format("{}mlp.experts.{}.", p, e), spec_.moe.intermediate);
    }
    if (spec_.moe.shared_experts > 0) {
      add_mlp(p + "mlp.shared_experts.", std::int64_t{spec_.moe.shared_experts} * spec_.moe.intermediate);
    }
  }

  void add_attention(const std::string& p) {
    switch (spec_.attention) {
      case AttentionKind::kLatent:
        return add_latent_attention(p);
      case AttentionKind::kGrouped:
        return add_grouped_attention(p);
    }
  }

  void add_grouped_attention(const std::string& p) {
    const std::int64_t query_rows = std::int64_t{spec_.heads} * spec_.query_head_dim();
    const std::int64_t key_rows = std::int64_t{spec_.kv_heads} * spec_.query_head_dim();
    const std::int64_t value_rows = std::int64_t{spec_.kv_heads} * spec_.value_dim;
    const std::pair<const char*, std::int64_t> projections[] = {
        {"q_proj", query_rows}, {"k_proj", key_rows}, {"v_proj", value_rows}};
    for (const auto& [name, rows] : projections) {
      add(fmt::format("{}{}.weight", p, name), {rows, spec_.hidden}, WeightKind::kMatrix);
      if (spec_.qkv_bias) add(fmt::format("{}{}.bias", p, name), {rows}, WeightKind::kBias);
    }
    add(p + "o_proj.weight", {spec_.hidden, std::int64_t{spec_.heads} * spec_.value_dim}, WeightKind::kMatrix);
  }

  void add_latent_attention(const std::string& p) {
    const std::int64_t heads = spec_.heads;
    const std::int64_t query_rows = heads * spec_.query_head_dim();
    if (spec_.q_lora_rank > 0) {
      add(p + "q_a_proj.weight", {spec_.q_lora_rank, spec_.hidden}, WeightKind::kMatrix);
      add(p + "q_a_layernorm.weight", {spec_.q_lora_rank}, WeightKind::kNorm);
      add(p + "q_b_proj.weight", {query_rows, spec_.q_lora_rank}, WeightKind::kMatrix);
    } else {
      add(p + "q_proj.weight", {query_rows, spec_.hidden}, WeightKind::kMatrix);
    }
    add(p + "kv_a_proj_with_mqa.weight", {spec_.cache_width(), spec_.hidden}, WeightKind::kMatrix);
    add(p + "kv_a_layernorm.weight", {spec_.kv_lora_rank}, WeightKind::kNorm);
    add(p + "kv_b_proj.weight", {heads * (spec_.nope_dim + spec_.value_dim), spec_.kv_lora_rank},
        WeightKind::kMatrix);
    add(p + "o_proj.weight", {spec_.hidden, heads * spec_.value_dim}, WeightKind::kMatrix);
  }

  void add_mlp(const std::string& p, std::int64_t width) {
    add(p + "gate_proj.weight", {width, spec_.hidden}, WeightKind::kMatrix);
    add(p + "up_proj.weight", {width, spec_.hidden}, WeightKind::kMatrix);
    add(p + "down_proj.weight", {spec_.hidden, width}, WeightKind::kMatrix);
  }

  const ModelSpec& spec_;
  WeightPlan& plan_;
  std::size_t weights_max_;
};

bool dtype_allowed(WeightKind kind, Dtype dtype, bool fp8_model) {
  switch (kind) {
    case WeightKind::kMatrix:
      return dtype != Dtype::kF8E4m3 || fp8_model;
    case WeightKind::kTable:
      return dtype != Dtype::kF8E4m3;
    case WeightKind::kNorm:
    case WeightKind::kBias:
      return dtype != Dtype::kF8E4m3 && !is_quantised(dtype);
    case WeightKind::kRouterBias:
      return dtype == Dtype::kF32;
  }
  return false;
}

template <typename Bits, typename IsBad>
bool any_element(const TensorView& tensor, IsBad is_bad) {
  for (std::size_t at = 0; at < tensor.bytes.size(); at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, tensor.bytes.data() + at, sizeof(Bits));
    if (is_bad(bits)) return true;
  }
  return false;
}

/// By pieces, since the whole as floats could be many times the file.
bool any_block_non_finite(const TensorView& tensor) {
  const auto piece = static_cast<std::size_t>(dtype_block(tensor.dtype).bytes) * 256;
  for (std::size_t at = 0; at < tensor.bytes.size(); at += piece) {
    const TensorView part{tensor.dtype, {}, tensor.bytes.subspan(at, std::min(piece, tensor.bytes.size() - at))};
    for (const float value : to_floats(part)) {
      if (!std::isfinite(value)) return true;
    }
  }
  return false;
}

/// An exponent of all ones is NaN or infinity (e4m3 has only NaN).
bool has_non_finite(const TensorView& tensor) {
  switch (tensor.dtype) {
    case Dtype::kF32:
      return any_element<std::uint32_t>(tensor, [](auto b) { return (b & 0x7f800000u) == 0x7f800000u; });
    case Dtype::kBf16:
      return any_element<std::uint16_t>(tensor, [](auto b) { return (b & 0x7f80u) == 0x7f80u; });
    case Dtype::kF16:
      return any_element<std::uint16_t>(tensor, [](auto b) { return (b & 0x7c00u) == 0x7c00u; });
    case Dtype::kF8E4m3:
      return any_element<std::uint8_t>(tensor, e4m3_is_nan);
    case Dtype::kQ8_0:
    case Dtype::kQ4_0:
    case Dtype::kQ4_1:
    case Dtype::kQ5_0:
    case Dtype::kQ5_1:
    case Dtype::kQ4K:
    case Dtype::kQ5K:
    case Dtype::kQ6K:
      return any_block_non_finite(tensor);
  }
  return true;
}

Status check_scale(const PlannedWeight& weight, const TensorView* scale, ValueCheck values) {
  if (scale == nullptr)
    return bad_weight(weight.name, "is F8_E4M3 without its weight_scale_inv: its values mean nothing");
  const Shape blocks{(weight.shape[0] + 127) / 128, (weight.shape[1] + 127) / 128};
  const std::string name = weight.name + std::string(kScaleSuffix);
  if (scale->dtype != Dtype::kF32)
    return bad_weight(name, fmt::format("is {}; F32 expected", dtype_name(scale->dtype)));
  if (scale->shape != blocks) {
    return bad_weight(name, fmt::format("has shape {}; {} expected", shape_text(scale->shape), shape_text(blocks)));
  }
  if (values == ValueCheck::kSkip) return {};
  for (const float value : to_floats(*scale)) {
    if (!std::isfinite(value) || value < 0) return bad_weight(name, fmt::format("holds {}, not a scale", value));
  }
  return {};
}

Status check_weight(const ModelSpec& spec, const Checkpoint& checkpoint, const PlannedWeight& weight,
                    ValueCheck values, WeightPlan& plan) {
  const TensorView* tensor = checkpoint.find(weight.name);
  if (tensor == nullptr) return bad_weight(weight.name, "is missing");
  if (tensor->shape != weight.shape) {
    return bad_weight(weight.name, fmt::format("has shape {}; the config asks for {}", shape_text(tensor->shape),
                                        shape_text(weight.shape)));
  }
  if (!dtype_allowed(weight.kind, tensor->dtype, spec.fp8)) {
    return bad_weight(weight.name,
               fmt::format("may not be {}{}", dtype_name(tensor->dtype),
                           weight.kind == WeightKind::kRouterBias ? "; the router's bias must be F32" : ""));
  }
  if (values == ValueCheck::kRead && has_non_finite(*tensor)) return bad_weight(weight.name, "holds NaN or infinity");
  plan.parameters += tensor->elements();
  plan.weight_bytes += static_cast<std::int64_t>(tensor->bytes.size());
  if (tensor->dtype == Dtype::kF8E4m3) {
    const TensorView* scale = checkpoint.find(weight.name + std::string(kScaleSuffix));
    TG_TRY(check_scale(weight, scale, values));
    plan.weight_bytes += static_cast<std::int64_t>(scale->bytes.size());
  }
  return {};
}

Status check_leftovers(const Checkpoint& checkpoint, const WeightPlan& plan) {
  std::set<std::string_view> planned;
  for (const PlannedWeight& weight : plan.weights) planned.insert(weight.name);
  for (const auto& [name, view] : checkpoint.tensors()) {
    if (planned.contains(name) || name.ends_with(".rotary_emb.inv_freq"))
      continue;  // old exports keep that buffer
    if (name.ends_with(kScaleSuffix)) {
      const TensorView* base =
          checkpoint.find(std::string_view(name).substr(0, name.size() - kScaleSuffix.size()));
      if (base != nullptr && base->dtype == Dtype::kF8E4m3) continue;
      return bad_weight(name, "is a scale without an F8_E4M3 tensor");
    }
    return bad_weight(name, "belongs to no part of this architecture");
  }
  return {};
}

bool has_prefix(const Checkpoint& checkpoint, const std::string& prefix) {
  const auto it = checkpoint.tensors().lower_bound(prefix);
  return it != checkpoint.tensors().end() && it->first.starts_with(prefix);
}

}  // namespace

bool is_of_the_draft(std::string_view name, const ModelSpec& spec, const WeightPlan& plan) {
  for (std::int32_t i = 0; i < plan.mtp_layers; ++i) {
    if (name.starts_with(fmt::format("model.layers.{}.", spec.layers + i))) return true;
  }
  return false;
}

Result<WeightPlan> plan_weights(const ModelSpec& spec, const Checkpoint& checkpoint, ValueCheck values) {
  WeightPlan plan;
  const std::string draft = fmt::format("model.layers.{}.", spec.layers);
  if (spec.mtp_layers > 0 && has_prefix(checkpoint, draft)) plan.mtp_layers = spec.mtp_layers;
  plan.mtp_has_own_embedding = checkpoint.find(draft + "embed_tokens.weight") != nullptr;
  plan.mtp_has_own_head = checkpoint.find(draft + "shared_head.head.weight") != nullptr;

  Planner planner(spec, plan, checkpoint.tensors().size());
  planner.add_model();
  for (std::int32_t i = 0; i < plan.mtp_layers; ++i) planner.add_mtp(spec.layers + i);
  for (const PlannedWeight& weight : plan.weights) TG_TRY(check_weight(spec, checkpoint, weight, values, plan));
  TG_TRY(check_leftovers(checkpoint, plan));
  return plan;
}

}  // namespace tidegate::worker
