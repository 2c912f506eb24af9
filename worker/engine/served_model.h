#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/core/result.h"
#include "worker/engine/pooling.h"
#include "worker/engine/sampler.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {

/// The text side of a checkpoint: everything between messages and tokens.
struct ServedModel {
  std::unique_ptr<const Tokenizer>
      tokenizer;  ///< on the heap because the template points at it and this struct moves
  ChatTemplate chat;
  std::vector<TokenId> end_tokens;  ///< any of them ends an answer
  SamplerParams defaults;           ///< for what a request leaves unset; its seed is unused
  std::optional<Pooling> pooling = {};  ///< how it makes embeddings; unset: not at all
};

/// Ranges of SamplingParams, shared by requests and by the files that set defaults. Returns the offending
/// field's error: invalid_argument/out_of_range.
Status check_temperature(double temperature);
Status check_top_p(double top_p);
Status check_top_k(std::int64_t top_k);

/// Reads tokenizer.json, tokenizer_config.json and, where they exist, generation_config.json (temperature,
/// top_p, top_k, eos_token_id) and tidegate.json (temperature, top_p, top_k: the operator's word, which wins
/// over the checkpoint's; embedding_pooling, "mean" or "last", of a model that makes embeddings). Fails: as Tokenizer::load and ChatTemplate::load do; invalid_argument for a
/// default outside its range.
Result<ServedModel> load_served_model(const std::filesystem::path& dir);

}  // namespace tidegate::worker
