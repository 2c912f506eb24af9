#pragma once

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "worker/backend/cpu/pack_file.h"
#include "worker/backend/cpu/pack_store.h"
#include "worker/backend/cpu/packed_matrix.h"
#include "worker/backend/cpu/router.h"
#include "worker/format/checkpoint.h"
#include "worker/model/weight_plan.h"

/// A model's weights as the CPU backend holds them. Independent of the checkpoint once loaded.
namespace tidegate::worker {

/// kv_b is split by head and never applied to cached tokens: key_up carries the query into the latent space
/// (latent x nope), value_up the weighted latent out of it (value x latent). That is MLA's absorbed form.
struct AttentionWeights {
  PackedMatrix q_a;  ///< empty without q_lora: q_b is then q_proj
  std::vector<float> q_a_norm;
  PackedMatrix q_b;
  PackedMatrix kv_a;
  std::vector<float> kv_a_norm;
  std::vector<PackedMatrix> key_up;
  std::vector<PackedMatrix> value_up;
  PackedMatrix out;
};

/// Keys and values per kv head. Empty biases: the model has none.
struct GroupedWeights {
  PackedMatrix q;
  PackedMatrix k;
  PackedMatrix v;
  std::vector<float> q_bias;
  std::vector<float> k_bias;
  std::vector<float> v_bias;
  PackedMatrix out;
};

struct MlpWeights {
  PackedMatrix gate;
  PackedMatrix up;
  PackedMatrix down;
};

struct MoeWeights {
  PackedMatrix gate;
  std::optional<Router> router;
  std::vector<MlpWeights> experts;
  std::optional<MlpWeights> shared;
};

struct LayerWeights {
  std::vector<float> attention_norm;
  std::variant<AttentionWeights, GroupedWeights> attention;  ///< by AttentionKind
  std::vector<float> ffn_norm;
  std::optional<MlpWeights> dense;  ///< or
  std::optional<MoeWeights> moe;
};

/// The draft layer. Empty embedding or head: the main model's.
struct MtpWeights {
  EmbeddingTable embedding;
  std::vector<float> embedding_norm;
  std::vector<float> hidden_norm;
  PackedMatrix projection;
  LayerWeights layer;
  std::vector<float> head_norm;
  PackedMatrix head;
};

struct ModelWeights {
  std::optional<PackFile> pack;                 ///< what the matrices below lie in,
  std::vector<AlignedBuffer<std::byte>> memory;  ///< or what the small ones do; others have memory of their own
  EmbeddingTable embedding;
  std::vector<LayerWeights> layers;
  std::vector<float> norm;
  PackedMatrix head;
  std::vector<MtpWeights> mtp;
};

/// `plan` has been checked against `checkpoint`, so nothing can be missing. `layout`: what the kernels want (KernelTable); the router's
/// matrix is never rounded for and lies in rows always. Matrices and embedding tables come from `store`,
/// the small rest from the checkpoint.
ModelWeights load_weights(const ModelSpec& spec, const WeightPlan& plan, const Checkpoint& checkpoint, bool with_mtp,
                          PackStore& store, WeightLayout layout = WeightLayout::kRows);

/// Bytes of what `store` is asked for: memory of the loaded weights but for norms and biases, or of a pack file.
std::int64_t packed_weight_bytes(const ModelSpec& spec, const WeightPlan& plan, const Checkpoint& checkpoint, bool with_mtp,
                                 WeightLayout layout = WeightLayout::kRows);

}  // namespace tidegate::worker
