#include "worker/model/gguf_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace tidegate::worker {
namespace {

using Names = std::pair<std::string_view, std::string_view>;

constexpr Names kModelNames[] = {{"token_embd.weight", "model.embed_tokens.weight"},
                                 {"output_norm.weight", "model.norm.weight"},
                                 {"output.weight", "lm_head.weight"}};

/// Behind "blk.N." and "model.layers.N.".
constexpr Names kBlockNames[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_q_a.weight", "self_attn.q_a_proj.weight"},
    {"attn_q_a_norm.weight", "self_attn.q_a_layernorm.weight"},
    {"attn_q_b.weight", "self_attn.q_b_proj.weight"},
    {"attn_kv_a_mqa.weight", "self_attn.kv_a_proj_with_mqa.weight"},
    {"attn_kv_a_norm.weight", "self_attn.kv_a_layernorm.weight"},
    {"attn_kv_b.weight", "self_attn.kv_b_proj.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"ffn_gate_inp.weight", "mlp.gate.weight"},
    {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
    {"ffn_gate_shexp.weight", "mlp.shared_experts.gate_proj.weight"},
    {"ffn_up_shexp.weight", "mlp.shared_experts.up_proj.weight"},
    {"ffn_down_shexp.weight", "mlp.shared_experts.down_proj.weight"},
};

constexpr Names kStackedNames[] = {{"ffn_gate_exps.weight", "gate_proj.weight"},
                                   {"ffn_up_exps.weight", "up_proj.weight"},
                                   {"ffn_down_exps.weight", "down_proj.weight"}};
constexpr std::string_view kFusedExperts = "ffn_gate_up_exps.weight";

std::unexpected<Error> bad_tensor(const std::string& tensor, std::string_view what) {
  return fail(Code::kInvalidArgument, "bad_gguf", fmt::format("tensor '{}' {}", tensor, what), tensor);
}

std::optional<std::string_view> lookup(std::span<const Names> names, std::string_view name) {
  const auto found = std::ranges::find(names, name, &Names::first);
  if (found == names.end()) return std::nullopt;
  return found->second;
}

/// Rows [first, first + rows) of a tensor seen as a matrix of its last dimension.
TensorView rows_of(const TensorView& tensor, std::int64_t first, std::int64_t rows) {
  const std::int64_t columns = tensor.shape.back();
  const DtypeBlock block = dtype_block(tensor.dtype);
  const std::int64_t row_bytes = columns / block.elements * block.bytes;
  return {tensor.dtype,
          {rows, columns},
          tensor.bytes.subspan(static_cast<std::size_t>(first * row_bytes), static_cast<std::size_t>(rows * row_bytes))};
}

class Exposer {
 public:
  Exposer(const ModelSpec& spec, Checkpoint& checkpoint) : spec_(spec), checkpoint_(checkpoint) {}

  Status add(const std::string& name, const TensorView& tensor) {
    if (name == kGgufRopeDivisors) return {};  // read by adjust_to_gguf
    if (const auto known = lookup(kModelNames, name)) return expose(name, std::string(*known), tensor);
    if (name.starts_with("blk.")) {
      const std::size_t dot = name.find('.', 4);
      if (dot != std::string::npos) {
        std::int32_t layer = -1;
        const auto [end, wrong] = std::from_chars(name.data() + 4, name.data() + dot, layer);
        if (wrong == std::errc() && end == name.data() + dot && layer >= 0) {
          return add_of_block(layer, name, name.substr(dot + 1), tensor);
        }
      }
    }
    return bad_tensor(name, "belongs to no part of this architecture");
  }

 private:
  Status expose(const std::string& source, std::string name, const TensorView& tensor) {
    if (!checkpoint_.expose(std::move(name), tensor)) return bad_tensor(source, "appears twice");
    return {};
  }

  Status add_of_block(std::int32_t layer, const std::string& name, const std::string& rest, const TensorView& tensor) {
    const std::string p = fmt::format("model.layers.{}.", layer);
    if (const auto known = lookup(kBlockNames, rest)) return expose(name, p + std::string(*known), tensor);
    if (const auto stacked = lookup(kStackedNames, rest)) {
      TG_TRY(check_stack(name, tensor));
      for (std::int64_t e = 0; e < tensor.shape[0]; ++e) {
        TG_TRY(expose(name, fmt::format("{}mlp.experts.{}.{}", p, e, *stacked),
                      rows_of(tensor, e * tensor.shape[1], tensor.shape[1])));
      }
      return {};
    }
    if (rest == kFusedExperts) return add_fused(p, name, tensor);
    if (rest == kGgufKeyHalf) return add_kv_b(layer, p, name, tensor);
    if (rest == kGgufValueHalf) return require_key_half(layer, name);
    return bad_tensor(name, "belongs to no part of this architecture");
  }

  Status check_stack(const std::string& name, const TensorView& tensor) const {
    if (tensor.shape.size() == 3 && tensor.shape[0] == spec_.moe.experts) return {};
    return bad_tensor(name, fmt::format("has shape {}; a stack of {} experts is expected", shape_text(tensor.shape),
                                 spec_.moe.experts));
  }

  /// Of each expert: the rows of gate, then those of up.
  Status add_fused(const std::string& p, const std::string& name, const TensorView& tensor) {
    TG_TRY(check_stack(name, tensor));
    const std::int64_t rows = tensor.shape[1] / 2;
    if (rows * 2 != tensor.shape[1]) return bad_tensor(name, "has an odd number of rows for gate and up");
    for (std::int64_t e = 0; e < tensor.shape[0]; ++e) {
      const std::string expert = fmt::format("{}mlp.experts.{}.", p, e);
      TG_TRY(expose(name, expert + "gate_proj.weight", rows_of(tensor, 2 * e * rows, rows)));
      TG_TRY(expose(name, expert + "up_proj.weight", rows_of(tensor, (2 * e + 1) * rows, rows)));
    }
    return {};
  }

  const TensorView* find(std::int32_t layer, std::string_view rest) const {
    const std::string name = fmt::format("blk.{}.{}", layer, rest);
    for (const GgufFile& file : checkpoint_.gguf_files()) {
      const auto found = file.tensors().find(name);
      if (found != file.tensors().end()) return &found->second;
    }
    return nullptr;
  }

  Status require_key_half(std::int32_t layer, const std::string& name) const {
    if (find(layer, kGgufKeyHalf) == nullptr) return bad_tensor(name, "is there without its attn_k_b");
    return {};
  }

  /// attn_k_b [head][latent][nope] and attn_v_b [head][value][latent] become the rows of kv_b: nope, then value, of each
  /// head. As floats: a transposed block has no blocks.
  Status add_kv_b(std::int32_t layer, const std::string& p, const std::string& name, const TensorView& keys) {
    if (find(layer, "attn_kv_b.weight") != nullptr) return {};  // some files hold both forms of the same numbers
    const TensorView* values = find(layer, kGgufValueHalf);
    if (values == nullptr) return bad_tensor(name, "is there without its attn_v_b");
    const std::int64_t heads = spec_.heads;
    const std::int64_t latent = spec_.kv_lora_rank;
    const std::int64_t nope = spec_.nope_dim;
    const std::int64_t value = spec_.value_dim;
    if (spec_.attention != AttentionKind::kLatent || keys.shape != std::vector<std::int64_t>{heads, latent, nope} ||
        values->shape != std::vector<std::int64_t>{heads, value, latent}) {
      return bad_tensor(name, fmt::format("has shape {} beside {}; [{}, {}, {}] and [{}, {}, {}] are expected",
                                   shape_text(keys.shape), shape_text(values->shape), heads, latent, nope, heads, value,
                                   latent));
    }
    const std::vector<float> k = to_floats(keys);
    const std::vector<float> v = to_floats(*values);
    std::vector<float> joined;
    joined.reserve(k.size() + v.size());
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t row = 0; row < nope; ++row) {
        for (std::int64_t i = 0; i < latent; ++i)
          joined.push_back(k[static_cast<std::size_t>((head * latent + i) * nope + row)]);
      }
      const auto first = v.begin() + static_cast<std::ptrdiff_t>(head * value * latent);
      joined.insert(joined.end(), first, first + static_cast<std::ptrdiff_t>(value * latent));
    }
    return expose(name, p + "self_attn.kv_b_proj.weight",
                  {Dtype::kF32, {heads * (nope + value), latent}, checkpoint_.keep(std::move(joined))});
  }

  const ModelSpec& spec_;
  Checkpoint& checkpoint_;
};

std::optional<std::string_view> lookup_hugging_face(std::span<const Names> names, std::string_view name) {
  const auto found = std::ranges::find(names, name, &Names::second);
  if (found == names.end()) return std::nullopt;
  return found->first;
}

}  // namespace

bool gguf_reorders_pairs(std::string_view hugging_face_class) {
  return hugging_face_class == "LlamaForCausalLM" || hugging_face_class == "DeepseekForCausalLM";
}

std::optional<std::string> gguf_tensor_name(std::string_view hugging_face_name) {
  if (const auto known = lookup_hugging_face(kModelNames, hugging_face_name)) return std::string(*known);
  constexpr std::string_view kLayers = "model.layers.";
  constexpr std::string_view kExperts = "mlp.experts.";
  if (!hugging_face_name.starts_with(kLayers)) return std::nullopt;
  const std::size_t dot = hugging_face_name.find('.', kLayers.size());
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view layer = hugging_face_name.substr(kLayers.size(), dot - kLayers.size());
  const std::string_view rest = hugging_face_name.substr(dot + 1);
  std::optional<std::string_view> known;
  if (rest.starts_with(kExperts)) {
    const std::size_t behind = rest.find('.', kExperts.size());
    if (behind == std::string_view::npos) return std::nullopt;
    known = lookup_hugging_face(kStackedNames, rest.substr(behind + 1));
  } else if (rest != "self_attn.kv_b_proj.weight") {
    known = lookup_hugging_face(kBlockNames, rest);
  }
  if (!known) return std::nullopt;
  return fmt::format("blk.{}.{}", layer, *known);
}

Status adjust_to_gguf(const Checkpoint& checkpoint, ModelSpec& spec) {
  if (gguf_reorders_pairs(spec.architecture)) {
    spec.formulas.rope.layout = RopeLayout::kInterleaved;
  }
  for (const GgufFile& file : checkpoint.gguf_files()) {
    const auto found = file.tensors().find(kGgufRopeDivisors);
    if (found == file.tensors().end()) continue;
    const TensorView& tensor = found->second;
    const std::string name(kGgufRopeDivisors);
    if (tensor.dtype != Dtype::kF32 || tensor.shape != std::vector<std::int64_t>{spec.rope_dim / 2}) {
      return bad_tensor(name, fmt::format("is {} of {}; F32 of [{}] is expected", shape_text(tensor.shape),
                                   dtype_name(tensor.dtype), spec.rope_dim / 2));
    }
    spec.rope_divisors = to_floats(tensor);
    for (const float divisor : spec.rope_divisors) {
      if (!std::isfinite(divisor) || divisor <= 0) return bad_tensor(name, fmt::format("holds {}, not a divisor", divisor));
    }
  }
  return {};
}

Status expose_gguf_tensors(const ModelSpec& spec, Checkpoint& checkpoint) {
  Exposer exposer(spec, checkpoint);
  for (const GgufFile& file : checkpoint.gguf_files()) {
    for (const auto& [name, tensor] : file.tensors()) TG_TRY(exposer.add(name, tensor));
  }
  return {};
}

}  // namespace tidegate::worker
