#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/core/encoding.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/worker/engine/cache_salts.h"
#include "tests/unit/worker/engine/fake_backend.h"
#include "worker/engine/engine_core.h"

namespace tidegate::worker {

/// Everything one sequence said, put together from its events; the order of events is checked on the way.
struct Outcome {
  std::string reasoning;
  std::string content;
  std::vector<TokenLogprob> logprobs;
  SequenceUsage usage;
  std::optional<FinishReason> finish;
  std::string stop_text;
  Error error;
  bool accepted = false;
  std::int32_t events = 0;
};

inline void collect(const std::vector<SequenceEvent>& events, std::map<SequenceHandle, Outcome>& outcomes) {
  for (const SequenceEvent& event : events) {
    Outcome& outcome = outcomes[event.handle];
    EXPECT_FALSE(outcome.finish.has_value()) << "an event after the last one";
    EXPECT_TRUE(is_valid_utf8(event.reasoning));
    EXPECT_TRUE(is_valid_utf8(event.content));
    if (event.accepted) {
      EXPECT_EQ(outcome.events, 0);
      EXPECT_TRUE(event.reasoning.empty() && event.content.empty());
      EXPECT_GT(event.usage.prompt_tokens, 0);
    } else if (!outcome.accepted) {
      EXPECT_TRUE(event.finish == FinishReason::kCancelled) << "text before acceptance";
    }
    EXPECT_GE(event.usage.completion_tokens, outcome.usage.completion_tokens);
    EXPECT_LE(event.usage.reasoning_tokens, event.usage.completion_tokens);
    EXPECT_LE(event.usage.accepted_tokens, event.usage.drafted_tokens);
    EXPECT_LT(event.usage.cached_tokens, std::max(1, event.usage.prompt_tokens));
    outcome.accepted = outcome.accepted || event.accepted;
    outcome.reasoning += event.reasoning;
    outcome.content += event.content;
    outcome.logprobs.insert(outcome.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
    outcome.usage = event.usage;
    outcome.finish = event.finish;
    outcome.stop_text = event.stop_text;
    outcome.error = event.error;
    ++outcome.events;
  }
}

/// A vocabulary of single bytes and the template's control tokens, as FakeBackend numbers them. Answers are
/// random bytes, so most characters arrive in parts or broken.
inline ServedModel byte_model() {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte) {
    file.vocab.emplace_back(std::string(1, static_cast<char>(byte)), FakeBackend::kFirstByte + byte);
  }
  file.added = {{FakeBackend::kBegin, "<｜begin▁of▁sentence｜>", true},
                {FakeBackend::kEnd, "<｜end▁of▁sentence｜>", true},
                {FakeBackend::kThink, "<think>", false},
                {FakeBackend::kThinkEnd, "</think>", false},
                {FakeBackend::kUser, "<｜User｜>", false},
                {FakeBackend::kAssistant, "<｜Assistant｜>", false}};
  auto built = Tokenizer::build(file);
  EXPECT_TRUE(built) << built.error().to_string();
  auto tokenizer = std::make_unique<const Tokenizer>(*std::move(built));
  auto chat = ChatTemplate::deepseek_r1(*tokenizer);
  EXPECT_TRUE(chat) << chat.error().to_string();
  return {.tokenizer = std::move(tokenizer),
          .chat = *chat,
          .end_tokens = {FakeBackend::kEnd},
          .defaults = {.temperature = 0.7, .top_p = 0.95}};
}

/// An EngineCore over a FakeBackend.
struct EngineHarness {
  explicit EngineHarness(EngineLimits limits, const std::function<void(FakeBackend&)>& prepare = {}) {
    auto owned = std::make_unique<FakeBackend>();
    backend = owned.get();
    if (prepare) prepare(*backend);
    auto created = EngineCore::create(std::move(owned), byte_model(), limits, 99, clock);
    EXPECT_TRUE(created) << created.error().to_string();
    engine = *std::move(created);
  }

  /// Until nothing is left. The number of steps is bounded, so that a livelock fails instead of hanging.
  void drain() {
    for (int step = 0; !engine->idle(); ++step) {
      ASSERT_LT(step, 100000) << "the engine makes no progress";
      collect(engine->step(), outcomes);
    }
    EXPECT_EQ(engine->kv_pool().blocks_used(), 0);
  }

  test::SimClock clock;
  FakeBackend* backend = nullptr;
  std::unique_ptr<EngineCore> engine;
  std::map<SequenceHandle, Outcome> outcomes;
};

inline GenerateRequest user_request(SequenceHandle handle, std::string text, std::int32_t max_tokens = 0) {
  GenerateRequest request;
  request.handle = handle;
  request.messages = {{Role::kUser, std::move(text)}};
  request.sampling.max_tokens = max_tokens;
  return request;
}

inline GenerateRequest raw_request(SequenceHandle handle, std::string text, std::int32_t max_tokens = 0) {
  GenerateRequest request;
  request.handle = handle;
  request.raw = RawPrompt{.text = std::move(text)};
  request.sampling.max_tokens = max_tokens;
  return request;
}

inline EngineLimits roomy() {
  return {.schedule = {16, 256}, .waiting_max = 64, .kv_blocks = 16 * 8};
}

}  // namespace tidegate::worker
