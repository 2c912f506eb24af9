#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/core/result.h"
#include "worker/model/config_reader.h"
#include "worker/model/model_spec.h"

/// The parts that the config.json of several architectures share. A reader of an architecture calls those that it has and
/// adds what is its own.
namespace tidegate::worker {

// Limits far above any released model, low enough that every product of sizes below fits in int64 and that a
// hostile config cannot ask for absurd memory before the weights are seen to be missing.
inline constexpr std::int32_t kLayersMax = 1024;
inline constexpr std::int32_t kHiddenMax = 65'536;
inline constexpr std::int32_t kVocabMax = 1 << 22;
inline constexpr std::int32_t kHeadsMax = 1024;
inline constexpr std::int32_t kHeadDimMax = 4096;
inline constexpr std::int32_t kRankMax = 16'384;
inline constexpr std::int32_t kIntermediateMax = 1 << 20;
inline constexpr std::int32_t kExpertsMax = 4096;
inline constexpr std::int32_t kContextMax = 1 << 24;

/// Layers, sizes, norm, activation, embedding: what every decoder has.
Status read_stack(const ConfigReader& in, ModelSpec& spec);

/// Multi-head latent attention, rope interleaved, with or without q_lora_rank.
Status read_latent_attention(const ConfigReader& in, ModelSpec& spec);

/// Keys and values per kv head, rope half-split over the whole head. head_dim defaults to hidden_size / heads.
Status read_grouped_attention(const ConfigReader& in, ModelSpec& spec);

/// rope_theta and rope_scaling, whose kind must be one of `kinds` ("yarn", "llama3", "default").
Status read_rope(const ConfigReader& in, std::span<const std::string_view> kinds, ModelSpec& spec);

/// Numbers, sizes and places of the experts; no-op (moe.experts == 0) when n_routed_experts is absent. Routing is the
/// architecture's own. Call after read_stack.
Status read_experts(const ConfigReader& in, ModelSpec& spec);

/// n_group and topk_group; a group must have the experts by which it is scored. Call after read_experts.
Status read_expert_groups(const ConfigReader& in, std::int32_t scored_by, ModelSpec& spec);

/// FP8 (e4m3, 128 x 128 scales) or no quantization_config at all.
Status read_quantization(const ConfigReader& in, ModelSpec& spec);

}  // namespace tidegate::worker
