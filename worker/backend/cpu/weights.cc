#include "worker/backend/cpu/weights.h"

#include <fmt/format.h>

#include <functional>
#include <string>

#include "base/core/check.h"

namespace tidegate::worker {
namespace {

class Loader {
 public:
  Loader(const ModelSpec& spec, const Checkpoint& checkpoint, PackStore& store, WeightLayout layout)
      : spec_(spec), checkpoint_(checkpoint), store_(store), layout_(layout) {}

  const TensorView& tensor(const std::string& name) const {
    const TensorView* view = checkpoint_.find(name);
    TG_CHECK(view != nullptr);
    return *view;
  }

  std::vector<float> vector(const std::string& name) const { return to_floats(tensor(name + ".weight")); }

  PackedMatrix matrix(const std::string& name) const { return matrix(name, layout_); }
  PackedMatrix matrix(const std::string& name, WeightLayout layout) const {
    return store_.matrix(name, [&] {
      return PackedMatrix::from_tensor(tensor(name + ".weight"), scale_of(name), spec_.formulas.fp8, layout);
    });
  }

  EmbeddingTable table(const std::string& name) const { return store_.table(name + ".table", tensor(name + ".weight")); }

  LayerWeights layer(std::int32_t index) const {
    const std::string p = fmt::format("model.layers.{}.", index);
    LayerWeights out;
    out.attention_norm = vector(p + "input_layernorm");
    switch (spec_.attention) {
      case AttentionKind::kLatent:
        out.attention = latent_attention(p + "self_attn.");
        break;
      case AttentionKind::kGrouped:
        out.attention = grouped_attention(p + "self_attn.");
        break;
    }
    out.ffn_norm = vector(p + "post_attention_layernorm");
    if (spec_.is_moe(index)) {
      out.moe = moe(p + "mlp.");
    } else {
      out.dense = mlp(p + "mlp.");
    }
    return out;
  }

  MtpWeights mtp(std::int32_t index, const WeightPlan& plan) const {
    const std::string p = fmt::format("model.layers.{}.", index);
    MtpWeights out;
    if (plan.mtp_has_own_embedding) out.embedding = table(p + "embed_tokens");
    out.embedding_norm = vector(p + "enorm");
    out.hidden_norm = vector(p + "hnorm");
    out.projection = matrix(p + "eh_proj");
    out.layer = layer(index);
    out.head_norm = vector(p + "shared_head.norm");
    if (plan.mtp_has_own_head) out.head = matrix(p + "shared_head.head");
    return out;
  }

 private:
  const TensorView* scale_of(const std::string& name) const {
    return checkpoint_.find(name + ".weight" + std::string(kScaleSuffix));
  }

  MlpWeights mlp(const std::string& p) const {
    return {.gate = matrix(p + "gate_proj"), .up = matrix(p + "up_proj"), .down = matrix(p + "down_proj")};
  }

  MoeWeights moe(const std::string& p) const {
    MoeWeights out;
    out.gate = matrix(p + "gate", WeightLayout::kRows);  // MatmulJob::is_exact
    const std::vector<float> bias = spec_.moe.correction_bias
                                        ? to_floats(tensor(p + "gate.e_score_correction_bias"))
                                        : std::vector<float>(static_cast<std::size_t>(spec_.moe.experts), 0.0f);
    out.router.emplace(spec_.moe, spec_.formulas.router, bias);
    for (std::int32_t e = 0; e < spec_.moe.experts; ++e)
      out.experts.push_back(mlp(fmt::format("{}experts.{}.", p, e)));
    if (spec_.moe.shared_experts > 0) out.shared = mlp(p + "shared_experts.");
    return out;
  }

  GroupedWeights grouped_attention(const std::string& p) const {
    const auto bias = [&](const char* name) {
      return spec_.qkv_bias ? to_floats(tensor(fmt::format("{}{}.bias", p, name))) : std::vector<float>();
    };
    return {.q = matrix(p + "q_proj"),
            .k = matrix(p + "k_proj"),
            .v = matrix(p + "v_proj"),
            .q_bias = bias("q_proj"),
            .k_bias = bias("k_proj"),
            .v_bias = bias("v_proj"),
            .out = matrix(p + "o_proj")};
  }

  AttentionWeights latent_attention(const std::string& p) const {
    AttentionWeights out;
    if (spec_.q_lora_rank > 0) {
      out.q_a = matrix(p + "q_a_proj");
      out.q_a_norm = vector(p + "q_a_layernorm");
      out.q_b = matrix(p + "q_b_proj");
    } else {
      out.q_b = matrix(p + "q_proj");
    }
    out.kv_a = matrix(p + "kv_a_proj_with_mqa");
    out.kv_a_norm = vector(p + "kv_a_layernorm");
    out.out = matrix(p + "o_proj");
    split_kv_b(p + "kv_b_proj", out);
    return out;
  }

  /// Dequantised before it is split: block boundaries follow the rows of the whole matrix, not those of a
  /// head.
  void split_kv_b(const std::string& name, AttentionWeights& out) const {
    std::vector<float> kv_b;  // of the first matrix that is packed: a store that has them all needs none
    const auto value_at = [&](std::int64_t row, std::int64_t column) {
      if (kv_b.empty()) kv_b = dequantise(tensor(name + ".weight"), scale_of(name), spec_.formulas.fp8);
      return kv_b[static_cast<std::size_t>(row * spec_.kv_lora_rank + column)];
    };
    const std::int64_t latent = spec_.kv_lora_rank;
    const bool value_first = spec_.formulas.attention.kv_b_value_first;
    for (std::int64_t head = 0; head < spec_.heads; ++head) {
      const std::int64_t first = head * (spec_.nope_dim + spec_.value_dim);
      const std::int64_t key_row = first + (value_first ? spec_.value_dim : 0);
      const std::int64_t value_row = first + (value_first ? 0 : spec_.nope_dim);
      out.key_up.push_back(store_.matrix(fmt::format("{}.key_up.{}", name, head), [&] {
        return PackedMatrix::from_values(latent, spec_.nope_dim,
                                         [&](std::int64_t o, std::int64_t i) { return value_at(key_row + i, o); });
      }));
      out.value_up.push_back(store_.matrix(fmt::format("{}.value_up.{}", name, head), [&] {
        return PackedMatrix::from_values(spec_.value_dim, latent,
                                         [&](std::int64_t o, std::int64_t i) { return value_at(value_row + o, i); });
      }));
    }
  }

  const ModelSpec& spec_;
  const Checkpoint& checkpoint_;
  PackStore& store_;
  const WeightLayout layout_;
};

/// Counts what it is asked for. Nothing is packed.
class PackMeter final : public PackStore {
 public:
  PackMeter(const ModelSpec& spec, const Checkpoint& checkpoint, WeightLayout layout)
      : spec_(spec), checkpoint_(checkpoint), layout_(layout) {}

  PackedMatrix matrix(const std::string& name, const std::function<PackedMatrix()>&) override {
    const TensorView* view = checkpoint_.find(name + ".weight");
    if (view != nullptr) {
      const bool is_router = name.ends_with(".mlp.gate");
      count(view->shape[0], view->shape[1], PackedMatrix::format_of(view->dtype, is_router ? WeightLayout::kRows : layout_));
    } else if (name.find(".key_up.") != std::string::npos) {
      count(spec_.kv_lora_rank, spec_.nope_dim, WeightFormat::kF32);
    } else {
      count(spec_.value_dim, spec_.kv_lora_rank, WeightFormat::kF32);
    }
    return {};
  }
  EmbeddingTable table(const std::string&, const TensorView& tensor) override {
    bytes_ += static_cast<std::int64_t>(tensor.bytes.size());
    return {};
  }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  void count(std::int64_t outputs, std::int64_t inputs, WeightFormat format) {
    bytes_ += PackedMatrix::packed_bytes(outputs, inputs, format) +
              PackedMatrix::packed_scales(outputs, inputs, format) * static_cast<std::int64_t>(sizeof(float));
  }
  const ModelSpec& spec_;
  const Checkpoint& checkpoint_;
  const WeightLayout layout_;
  std::int64_t bytes_ = 0;
};

}  // namespace

ModelWeights load_weights(const ModelSpec& spec, const WeightPlan& plan, const Checkpoint& checkpoint, bool with_mtp,
                          PackStore& store, WeightLayout layout) {
  const Loader loader(spec, checkpoint, store, layout);
  ModelWeights out;
  out.embedding = loader.table("model.embed_tokens");
  for (std::int32_t layer = 0; layer < spec.layers; ++layer) out.layers.push_back(loader.layer(layer));
  out.norm = loader.vector("model.norm");
  out.head = loader.matrix(spec.tied_head ? "model.embed_tokens" : "lm_head");
  if (with_mtp) {
    for (std::int32_t i = 0; i < plan.mtp_layers; ++i) out.mtp.push_back(loader.mtp(spec.layers + i, plan));
  }
  return out;
}

std::int64_t packed_weight_bytes(const ModelSpec& spec, const WeightPlan& plan, const Checkpoint& checkpoint, bool with_mtp,
                                 WeightLayout layout) {
  PackMeter meter(spec, checkpoint, layout);
  load_weights(spec, plan, checkpoint, with_mtp, meter, layout);
  return meter.bytes();
}

}  // namespace tidegate::worker
