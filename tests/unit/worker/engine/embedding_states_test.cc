// Vectors of texts on the real backend: a dense model of random weights (tests/golden/llama), whose states are computed,
// not made up. A vector is a function of its text alone, to the bit.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/backend/load.h"

namespace tidegate::worker {
namespace {

using VectorsByInput = std::map<std::int32_t, std::vector<float>>;

/// Text goes in as bytes: the model's 512 ids have room for them, and its weights mean nothing.
std::unique_ptr<EngineCore> dense_engine(const Clock& clock, EngineLimits limits, Pooling pooling, int threads = 1) {
  auto backend = load_backend(TG_SOURCE_DIR "/tests/golden/llama", {.threads = threads, .digest = false});
  EXPECT_TRUE(backend) << backend.error().to_string();
  if (!backend) return nullptr;
  ServedModel model = byte_model();
  model.pooling = pooling;
  auto engine = EngineCore::create(*std::move(backend), std::move(model), limits, 99, clock);
  EXPECT_TRUE(engine) << engine.error().to_string();
  return engine ? *std::move(engine) : nullptr;
}

GenerateRequest texts_request(SequenceHandle handle, const std::vector<std::string>& texts) {
  GenerateRequest request;
  request.handle = handle;
  for (const std::string& text : texts) request.embed.push_back({.text = text});
  return request;
}

VectorsByInput vectors_from(EngineCore& engine, SequenceHandle handle) {
  VectorsByInput vectors;
  for (int step = 0; step < 10'000 && !engine.idle(); ++step) {
    for (const SequenceEvent& event : engine.step()) {
      if (event.handle == handle && !event.embedding.empty()) vectors[event.choice] = event.embedding;
    }
  }
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.kv_pool().blocks_used(), 0);
  return vectors;
}

class EmbeddingStates : public testing::TestWithParam<Pooling> {};

TEST_P(EmbeddingStates, AVectorIsTheSameBitsAloneInCompanyAndInPieces) {
  const test::SimClock clock;
  std::string text;
  for (int n = 0; n < 150; ++n) text += static_cast<char>('a' + n * 7 % 26);  // more than two blocks

  const auto alone = dense_engine(clock, roomy(), GetParam());
  ASSERT_NE(alone, nullptr);
  ASSERT_TRUE(alone->submit(texts_request(1, {text})));
  const VectorsByInput expected = vectors_from(*alone, 1);
  ASSERT_TRUE(expected.contains(0));
  double square = 0;
  for (const float value : expected.at(0)) square += static_cast<double>(value) * static_cast<double>(value);
  EXPECT_NEAR(std::sqrt(square), 1, 1e-5);

  const auto crowded = dense_engine(clock, roomy(), GetParam(), 2);
  ASSERT_NE(crowded, nullptr);
  ASSERT_TRUE(crowded->submit(raw_request(7, std::string(70, 'q'), 30)));
  ASSERT_TRUE(crowded->submit(texts_request(1, {"short", text, text + "!", text})));
  const VectorsByInput company = vectors_from(*crowded, 1);
  ASSERT_EQ(company.size(), 4U);
  EXPECT_EQ(company.at(1), expected.at(0));
  EXPECT_EQ(company.at(3), expected.at(0));
  EXPECT_NE(company.at(0), expected.at(0));
  EXPECT_NE(company.at(2), expected.at(0)) << "a letter more is another text";

  for (const std::int32_t chunk : {1, 7, 64}) {
    const auto pieces = dense_engine(clock, {.schedule = {1, chunk}, .waiting_max = 4, .kv_blocks = 8}, GetParam());
    ASSERT_NE(pieces, nullptr);
    ASSERT_TRUE(pieces->submit(texts_request(1, {text})));
    EXPECT_EQ(vectors_from(*pieces, 1), expected) << "in pieces of " << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(, EmbeddingStates, testing::Values(Pooling::kMean, Pooling::kLast),
                         [](const auto& param_info) {
                           return std::string(param_info.param == Pooling::kMean ? "Mean" : "Last");
                         });

}  // namespace
}  // namespace tidegate::worker
