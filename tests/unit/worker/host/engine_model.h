#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/answer_stream.h"
#include "worker/engine/logit_shaper.h"
#include "worker/tokenizer/raw_template.h"

namespace tidegate::worker {

/// What a request says and costs according to a model of the engine that has no batch, no blocks, no steps and no guesses:
/// one token after the other, each from all tokens before it.
struct ModelAnswer {
  std::int32_t prompt_tokens = 0;
  std::string reasoning;
  std::string content;
  std::string stop_text;
  FinishReason finish = FinishReason::kStop;
  std::vector<std::int32_t> reasoning_tokens = {0};                         ///< after each token, and before the first
  std::vector<std::pair<std::size_t, std::size_t>> shown = {{0, 0}};        ///< bytes of reasoning and content told by then

  std::int32_t completion_tokens() const { return static_cast<std::int32_t>(shown.size()) - 1; }
};

/// `request` brings temperature, top_p, top_k and seed; `context` is the engine's.
inline ModelAnswer model_answer(const FakeBackend& backend, const ServedModel& served, const GenerateRequest& request,
                                std::int32_t context) {
  const SamplingParams& asked = request.sampling;
  std::vector<TokenId> tokens;
  if (request.raw) {
    const RawTemplate raw(*served.tokenizer, served.chat.bos());
    auto encoded = raw.encode(*request.raw);
    EXPECT_TRUE(encoded);
    tokens = *std::move(encoded);
  } else {
    tokens = served.chat.encode(request.messages);
  }
  ModelAnswer out;
  out.prompt_tokens = static_cast<std::int32_t>(tokens.size());
  const std::int32_t room = context - out.prompt_tokens;
  const std::int32_t most = asked.max_tokens == 0 ? room : std::min(asked.max_tokens, room);

  if (backend.poison && std::ranges::find(tokens, *backend.poison) != tokens.end()) {
    out.finish = FinishReason::kError;
    return out;
  }

  LogitShape shape{.frequency_penalty = asked.frequency_penalty,
                   .presence_penalty = asked.presence_penalty,
                   .repetition_penalty = asked.repetition_penalty,
                   .bias = {}};
  TokenHistory history(shape, tokens);
  LogitShaper shaper;
  Sampler sampler(served.tokenizer->vocab_limit());
  const SamplerParams params{.temperature = *asked.temperature, .top_p = *asked.top_p, .top_k = *asked.top_k, .seed = *asked.seed};
  AnswerStream answer(asked.stop, request.raw ? AnswerStream::Start::kContent : AnswerStream::Start::kReasoning);
  const auto add = [&out](const AnswerStream::Text& text) {
    out.reasoning += text.reasoning;
    out.content += text.content;
  };
  for (bool is_over = false; !is_over;) {
    const std::vector<float> row = backend.row_behind(tokens);
    const auto token = sampler.sample(shaper.apply(row, shape, history), params, static_cast<std::int32_t>(tokens.size()));
    EXPECT_TRUE(token);
    if (!token) return out;
    history.add(*token);
    out.reasoning_tokens.push_back(out.reasoning_tokens.back() + (answer.in_reasoning() ? 1 : 0));
    if (*token == FakeBackend::kEnd) {
      add(answer.finish());
      is_over = true;
    } else if (*token == FakeBackend::kThinkEnd) {
      add(answer.on_think_end());
    } else if (*token == FakeBackend::kThink) {
      answer.on_think();
    } else if (!served.tokenizer->is_control(*token)) {
      add(answer.on_token(served.tokenizer->token_bytes(*token)));
    }
    if (answer.stopped()) {
      out.stop_text = answer.stop_text();
      is_over = true;
    }
    if (!is_over && out.completion_tokens() + 1 == most) {
      out.finish = FinishReason::kLength;
      add(answer.finish());
      is_over = true;
    }
    out.shown.emplace_back(out.reasoning.size(), out.content.size());
    tokens.push_back(*token);
  }
  return out;
}

}  // namespace tidegate::worker
