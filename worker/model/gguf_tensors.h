#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "worker/format/checkpoint.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// Adjusts the spec to what its GGUF files hold beyond the config: rope_freqs.weight (divisors of a scaling rule), and the
/// interleaved rope for which "llama" and "deepseek" files have the rows of q and k permuted. Fails:
/// invalid_argument/bad_gguf.
Status adjust_to_gguf(const Checkpoint& checkpoint, ModelSpec& spec);

/// Exposes every tensor of the checkpoint's GGUF files under the name and shape that Hugging Face gives it: stacked experts
/// one by one, in place; kv_b put together from the halves that newer files keep. Shapes are plan_weights()'s to check.
/// Fails: invalid_argument/bad_gguf with the tensor in Error::field when it belongs to no part of the architecture.
Status expose_gguf_tensors(const ModelSpec& spec, Checkpoint& checkpoint);

/// The other way: the GGUF tensor that holds the tensor of a Hugging Face name; for an expert's matrix, the stack that it is
/// part of. nullopt for kv_b, which newer files keep as kGgufKeyHalf and kGgufValueHalf, and for what GGUF has no name for.
std::optional<std::string> gguf_tensor_name(std::string_view hugging_face_name);
/// Behind "blk.N.".
inline constexpr std::string_view kGgufKeyHalf = "attn_k_b.weight";
inline constexpr std::string_view kGgufValueHalf = "attn_v_b.weight";
inline constexpr std::string_view kGgufRopeDivisors = "rope_freqs.weight";

/// Whether GGUF files of a Hugging Face class keep the rows of q and k so that rotary pairs are neighbours.
bool gguf_reorders_pairs(std::string_view hugging_face_class);

}  // namespace tidegate::worker
