// Vectors of texts: the engine's side of EmbedJobs.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "worker/engine/engine_core.h"

namespace tidegate::worker {
namespace {

constexpr std::size_t kInputsMax = 256;
/// Vectors of one request. They wait in the outbox of a gateway that is slow to read, which holds 1 MiB of everything.
constexpr std::size_t kVectorBytesMax = std::size_t{512} << 10;

}  // namespace

Status EngineCore::check_embed(std::size_t inputs) const {
  if (!facts_.abilities.embed) {
    return invalid("embeddings_unsupported", "this model makes no embeddings: it is not known how its states are pooled",
                   "model");
  }
  const auto width = static_cast<std::size_t>(backend_->facts().hidden_size);
  const std::size_t most = std::min(kInputsMax, kVectorBytesMax / (width * sizeof(float)));
  if (inputs <= most) return {};
  return invalid("out_of_range",
                 fmt::format("'input' has {} texts; this model takes at most {} a request", inputs, most), "input");
}

Status EngineCore::encode(std::vector<EmbedInput>& inputs) const {
  TG_TRY(check_embed(inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EmbedInput& input = inputs[i];
    if (input.is_encoded) continue;
    TG_ASSIGN(input.tokens, encode_input(input, i));
    input.text.clear();
    input.is_encoded = true;
  }
  return {};
}

Status EngineCore::submit_embed(GenerateRequest request) {
  TG_TRY(encode(request.embed));
  const auto width = static_cast<std::size_t>(backend_->facts().hidden_size);
  std::vector<std::unique_ptr<Sequence>> inputs;
  for (EmbedInput& input : request.embed) {
    inputs.push_back(std::make_unique<Sequence>(Sequence::Request{.handle = choices_.next_handle(),
                                                                  .prompt = std::move(input.tokens),
                                                                  .completion_max = 1,
                                                                  .tenant = request.cache_salt.value_or(CacheSalt{}),
                                                                  .pooler = Pooler(*model_.pooling, width)},
                                                pool_));
  }
  embeds_.add(request.handle, std::move(inputs));
  ++requests_;
  schedule_embeds();
  return {};
}

// Ids of text only: a control token would be a mark that no text can make.
Result<std::vector<TokenId>> EngineCore::encode_input(const EmbedInput& input, std::size_t place) const {
  const std::string field = fmt::format("input[{}]", place);
  const auto context = static_cast<std::size_t>(facts_.context_max);
  std::vector<TokenId> tokens = input.tokens;
  if (tokens.empty()) {
    const std::size_t at_least = input.text.size() / model_.tokenizer->token_bytes_max();
    if (at_least < context) {
      TG_ASSIGN(tokens, raw_.encode(RawPrompt{.text = input.text}));
    }
    if (at_least >= context || tokens.size() >= context) {
      return invalid("context_length_exceeded",
                     fmt::format("'{}' takes at least {} tokens; a text may have {}", field,
                                 std::max(at_least, tokens.size()), context - 1),
                     field);
    }
    return tokens;
  }
  if (tokens.size() >= context) {
    return invalid("context_length_exceeded",
                   fmt::format("'{}' has {} tokens; a text may have {}", field, tokens.size(), context - 1), field);
  }
  for (const TokenId id : tokens) {
    if (id >= 0 && id < sampler_.vocab_limit() && !model_.tokenizer->is_control(id)) continue;
    return invalid("out_of_range", fmt::format("'{}' holds {}, which is no token of text of this model", field, id), field);
  }
  return tokens;
}

void EngineCore::schedule_embeds() {
  const std::int32_t at_once = std::max(1, limits_.schedule.sequences_max / 4);
  for (auto& sequence : embeds_.take_ready(at_once)) schedule_.add(std::move(sequence));
}

}  // namespace tidegate::worker
