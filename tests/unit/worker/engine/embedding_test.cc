// Vectors of texts.
#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/pooling.h"

namespace tidegate::worker {
namespace {

double length_of(const std::vector<float>& vector) {
  double square = 0;
  for (const float value : vector) square += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(square);
}

TEST(Pooler, MeanIsOfAllStatesAndLastOfOne) {
  const std::vector<float> states = {1, 0, 0, 2};
  Pooler mean(Pooling::kMean, 2);
  mean.add(states);
  EXPECT_THAT(mean.vector(), testing::ElementsAre(testing::FloatNear(0.4472F, 1e-3F), testing::FloatNear(0.8944F, 1e-3F)));
  Pooler last(Pooling::kLast, 2);
  last.add(states);
  EXPECT_THAT(last.vector(), testing::ElementsAre(0, 1));
  last.reset();
  EXPECT_THAT(last.vector(), testing::ElementsAre(0, 0));
}

TEST(Pooler, PiecesAreTheWhole) {
  std::vector<float> states;
  for (int i = 0; i < 60; ++i) states.push_back(std::sin(static_cast<float>(i)));
  Pooler whole(Pooling::kMean, 3);
  whole.add(states);
  Pooler pieces(Pooling::kMean, 3);
  const std::span<const float> all(states);
  pieces.add(all.first(9));
  pieces.add(all.subspan(9, 3));
  pieces.add(all.subspan(12));
  EXPECT_EQ(pieces.vector(), whole.vector()) << "to the bit";
}

/// One request's events.
struct Vectors {
  std::map<std::int32_t, std::vector<float>> by_input;
  SequenceUsage usage;
  std::optional<FinishReason> finish;
  Error error;
  int accepted = 0;

  void take(const std::vector<SequenceEvent>& events, SequenceHandle handle) {
    for (const SequenceEvent& event : events) {
      EXPECT_FALSE(Choices::is_own(event.handle)) << "handles of ours stay inside";
      if (event.handle != handle) continue;
      EXPECT_FALSE(finish.has_value()) << "an event behind the last one";
      accepted += event.accepted ? 1 : 0;
      usage = event.usage;
      finish = event.finish;
      error = event.error;
      if (!event.embedding.empty()) {
        EXPECT_TRUE(by_input.emplace(event.choice, event.embedding).second) << event.choice;
      }
    }
  }
};

auto embedder() {
  return [](FakeBackend& backend) {
    backend.mutable_facts().architecture = "Qwen2ForCausalLM";
    backend.mutable_facts().hidden_size = FakeBackend::kHidden;
  };
}

struct EmbedHarness {
  explicit EmbedHarness(EngineLimits limits = roomy()) {
    auto owned = std::make_unique<FakeBackend>();
    embedder()(*owned);
    backend = owned.get();
    ServedModel model = byte_model();
    model.pooling = Pooling::kMean;
    engine = *EngineCore::create(std::move(owned), std::move(model), limits, 99, clock);
  }
  Vectors run(SequenceHandle handle) {
    Vectors vectors;
    for (int step = 0; step < 10'000 && !engine->idle(); ++step) vectors.take(engine->step(), handle);
    EXPECT_EQ(engine->kv_pool().blocks_used(), 0);
    return vectors;
  }
  test::SimClock clock;
  FakeBackend* backend = nullptr;
  std::unique_ptr<EngineCore> engine;
};

GenerateRequest vectors_of(SequenceHandle handle, std::vector<std::string> texts) {
  GenerateRequest request;
  request.handle = handle;
  for (std::string& text : texts) request.embed.push_back({.text = std::move(text)});
  return request;
}

TEST(Embedding, EachTextHasItsVectorAndTheRequestOneBill) {
  EmbedHarness h;
  ASSERT_TRUE(h.engine->submit(vectors_of(1, {"one", "two and more", "one"})));
  const Vectors vectors = h.run(1);
  EXPECT_EQ(vectors.accepted, 1);
  EXPECT_EQ(vectors.finish, FinishReason::kStop);
  ASSERT_EQ(vectors.by_input.size(), 3U);
  for (const auto& [input, vector] : vectors.by_input) EXPECT_NEAR(length_of(vector), 1, 1e-5) << input;
  EXPECT_EQ(vectors.by_input.at(0), vectors.by_input.at(2));
  EXPECT_NE(vectors.by_input.at(0), vectors.by_input.at(1));
  EXPECT_EQ(vectors.usage.prompt_tokens, 4 + 13 + 4) << "each with the token that begins it";
  EXPECT_EQ(vectors.usage.completion_tokens, 0);
}

TEST(Embedding, TextsThatWereEncodedBeforeAreWhatTheyWouldHaveBeen) {
  EmbedHarness plain;
  ASSERT_TRUE(plain.engine->submit(vectors_of(1, {"one", "two and more"})));
  const Vectors expected = plain.run(1);
  EmbedHarness h;
  GenerateRequest request = vectors_of(1, {"one", "two and more"});
  ASSERT_TRUE(h.engine->encode(request.embed));
  EXPECT_EQ(request.embed[0].tokens.size(), 4U) << "with the token that begins it, which no client may send";
  const std::vector<TokenId> once = request.embed[1].tokens;
  ASSERT_TRUE(h.engine->encode(request.embed));
  EXPECT_EQ(request.embed[1].tokens, once) << "once is enough";
  ASSERT_TRUE(h.engine->submit(std::move(request)));
  const Vectors vectors = h.run(1);
  EXPECT_EQ(vectors.by_input, expected.by_input);
  EXPECT_EQ(vectors.usage.prompt_tokens, expected.usage.prompt_tokens);
}

TEST(Embedding, EncodingRefusesWhatSubmittingDoes) {
  EmbedHarness h;
  std::vector<EmbedInput> inputs = {{.text = "x"}, {.text = std::string(4'000, 'y')}};
  EXPECT_EQ(h.engine->encode(inputs).error().field, "input[1]");
  inputs.assign(257, {.text = "x"});
  EXPECT_EQ(h.engine->encode(inputs).error().field, "input");
  EngineHarness plain(roomy());
  inputs.assign(1, {.text = "x"});
  EXPECT_EQ(plain.engine->encode(inputs).error().reason, "embeddings_unsupported");
}

TEST(Embedding, AVectorIsTheSameInAnyCompanyAndInAnyPieces) {
  const std::string text(90, 'x');
  EmbedHarness alone;
  ASSERT_TRUE(alone.engine->submit(vectors_of(1, {text})));
  const std::vector<float> expected = alone.run(1).by_input.at(0);
  EmbedHarness crowded({.schedule = {4, 16}, .waiting_max = 64, .kv_blocks = 8});
  ASSERT_TRUE(crowded.engine->submit(raw_request(7, std::string(70, 'q'), 50)));
  ASSERT_TRUE(crowded.engine->submit(vectors_of(1, {"short", text, "other"})));
  EXPECT_EQ(crowded.run(1).by_input.at(1), expected);
}

TEST(Embedding, ACancelEndsAllOfThem) {
  EmbedHarness h({.schedule = {4, 16}, .waiting_max = 64, .kv_blocks = 8});
  ASSERT_TRUE(h.engine->submit(vectors_of(1, {std::string(90, 'x'), std::string(90, 'y')})));
  Vectors vectors;
  vectors.take(h.engine->step(), 1);
  h.engine->cancel(1);
  vectors.take(h.engine->step(), 1);
  EXPECT_EQ(vectors.finish, FinishReason::kCancelled);
  EXPECT_TRUE(h.engine->idle());
  EXPECT_EQ(h.engine->kv_pool().blocks_used(), 0);
}

TEST(Embedding, WhatCannotBeEmbeddedIsRefusedByName) {
  EngineHarness plain(roomy());
  EXPECT_EQ(plain.engine->submit(vectors_of(1, {"x"})).error().reason, "embeddings_unsupported");
  EXPECT_FALSE(plain.engine->facts().abilities.embed);
  EmbedHarness h;
  EXPECT_TRUE(h.engine->facts().abilities.embed);
  EXPECT_EQ(h.engine->submit(vectors_of(1, {"x", std::string(4'000, 'y')})).error().field, "input[1]");
  EXPECT_EQ(h.engine->submit(vectors_of(1, std::vector<std::string>(257, "x"))).error().field, "input");
  GenerateRequest ids;
  ids.handle = 1;
  ids.embed = {{.text = "", .tokens = {FakeBackend::kFirstByte, FakeBackend::kEnd}}};
  EXPECT_EQ(h.engine->submit(ids).error().field, "input[0]") << "a control token is no text";
  EXPECT_TRUE(h.engine->idle()) << "nothing is left behind";
}

}  // namespace
}  // namespace tidegate::worker
