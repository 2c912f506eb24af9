#pragma once

#include <cstdint>
#include <string_view>

#include "base/core/result.h"

/// Sizes of a decoder, computed from the fields of its config.json: nothing here is typed in from a model card.
/// Integers only. The source of every formula is the list of tensors a checkpoint of that class holds.
namespace tidegate::scheduler {

inline std::int64_t divide_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

/// The fields of config.json that decide sizes, by their Hugging Face names in comments. Checked by check_shape:
/// afterwards every product below fits in int64.
struct ModelShape {
  std::int32_t layers = 0;  ///< num_hidden_layers
  std::int32_t hidden = 0;  ///< hidden_size
  std::int32_t vocab = 0;   ///< vocab_size
  std::int32_t heads = 0;   ///< num_attention_heads
  // Attention with grouped keys: kv_lora_rank is 0.
  std::int32_t kv_heads = 0;  ///< num_key_value_heads
  std::int32_t head_dim = 0;
  bool qkv_bias = false;
  bool qk_norm = false;  ///< of Qwen3: a norm over each head's query and one over its key
  // Multi-head latent attention: kv_heads and head_dim are 0.
  std::int32_t q_lora_rank = 0;  ///< 0 = queries are projected directly
  std::int32_t kv_lora_rank = 0;
  std::int32_t nope_dim = 0;   ///< qk_nope_head_dim
  std::int32_t rope_dim = 0;   ///< qk_rope_head_dim
  std::int32_t value_dim = 0;  ///< v_head_dim
  // The sparse indexer of V3.2; 0 = none.
  std::int32_t index_heads = 0;  ///< index_n_heads
  std::int32_t index_head_dim = 0;

  std::int32_t dense_intermediate = 0;  ///< intermediate_size
  std::int32_t experts = 0;             ///< n_routed_experts; 0 = every layer is dense
  std::int32_t experts_per_token = 0;   ///< num_experts_per_tok
  std::int32_t shared_experts = 0;      ///< n_shared_experts
  std::int32_t moe_intermediate = 0;    ///< moe_intermediate_size
  std::int32_t first_moe_layer = 0;     ///< first_k_dense_replace
  bool router_bias = false;             ///< topk_method noaux_tc: one correction bias per expert
  bool tied_embeddings = false;         ///< tie_word_embeddings
  std::int32_t mtp_layers = 0;          ///< num_nextn_predict_layers; not part of the sizes unless asked for

  bool is_latent() const { return kv_lora_rank > 0; }
  bool is_moe() const { return experts > 0; }
  std::int32_t moe_layers() const { return is_moe() ? layers - first_moe_layer : 0; }
  std::int32_t dense_layers() const { return layers - moe_layers(); }
  bool operator==(const ModelShape&) const = default;
};

/// Fails: invalid_argument/bad_shape; field is the config's name of the member.
Status check_shape(const ModelShape& shape);

/// How weights are stored.
enum class Precision : std::uint8_t {
  kBf16,      ///< "bf16": two bytes a weight
  kFp8,       ///< "fp8": one byte a weight, whatever it is
  kFp8Block,  ///< "fp8_e4m3_128x128": as DeepSeek ships V3. Matrices e4m3 with one F32 scale per block of 128 x 128,
              ///< embedding, head, router and norms BF16, the router's correction bias F32
  kInt4,      ///< "int4_g128": 4 bits a weight and, per group of 128, a 16-bit scale and a 4-bit zero point
};
/// Fails: invalid_argument/unknown_precision, listing the known ones.
Result<Precision> parse_precision(std::string_view text);
std::string_view precision_name(Precision precision);

/// How keys and values are cached.
enum class KvPrecision : std::uint8_t { kBf16, kFp8, kF32 };
/// "bf16" | "fp8" | "f32". Fails: invalid_argument/unknown_precision.
Result<KvPrecision> parse_kv_precision(std::string_view text);
std::string_view kv_precision_name(KvPrecision precision);

struct PartSizes {
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;
  bool operator==(const PartSizes&) const = default;
};

/// A model's weights by what they are for; a layout shards or copies each part differently.
struct ModelSizes {
  PartSizes attention;  ///< of all layers, with the norms and biases inside it
  PartSizes dense_ffn;
  PartSizes shared_experts;
  PartSizes routed_experts;
  PartSizes router;
  PartSizes norms;   ///< two a layer and the last one
  PartSizes tables;  ///< embedding and head
  PartSizes draft;   ///< multi-token prediction layers, without own copies of the tables; outside of the totals
  PartSizes expert;  ///< one routed expert of one layer
  std::int64_t active_parameters = 0;  ///< that a token passes, its embedding table and head included

  /// Without draft.
  std::int64_t parameters() const;
  std::int64_t bytes() const;
};

/// The shape has passed check_shape.
ModelSizes model_sizes(const ModelShape& shape, Precision precision);

/// Of all layers, before any sharding. With an indexer, its FP8 keys and their scales are counted too.
std::int64_t kv_bytes_per_token(const ModelShape& shape, KvPrecision precision);

}  // namespace tidegate::scheduler
