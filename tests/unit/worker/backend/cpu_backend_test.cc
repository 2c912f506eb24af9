#include "worker/backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "tests/support/temp_dir.h"
#include "tests/unit/worker/backend/golden_backend.h"

namespace tidegate::worker {
namespace {

const std::vector<std::int32_t> kTable{0, 1, 2, 3};

Status forward_one(CpuBackend& backend, std::vector<TokenId> tokens, std::int32_t position = 0) {
  std::vector<float> logits(512);
  const BatchSequence sequence{.tokens = tokens, .position = position, .blocks = kTable, .want_logits = true};
  return backend.forward({&sequence, 1}, logits);
}

TEST(CpuBackend, FactsDescribeTheModel) {
  const auto backend = load_backend(std::filesystem::path(TG_SOURCE_DIR) / "models/tang-moe", {.threads = 1});
  ASSERT_TRUE(backend) << backend.error().to_string();
  const ModelFacts& facts = (*backend)->facts();
  EXPECT_EQ(facts.architecture, "DeepseekV3ForCausalLM");
  EXPECT_EQ(facts.weights_digest, "sha256:2d27b42dbd0cad0c5bbc09f8ee22e31e66e177b077c58fe98bd4ca678e1f30ba");
  EXPECT_EQ(facts.vocab_size, 6144);
  EXPECT_EQ(facts.context_max, 1024);
  EXPECT_NEAR(static_cast<double>(facts.parameters), 24.6e6, 0.1e6);
  EXPECT_EQ(facts.kv_bytes_per_token, 6 * (64 + 16) * 4);
}

TEST(CpuBackend, ATokenOutsideTheVocabularyIsAnError) {
  const auto backend = golden_backend("deepseek_v3", {.threads = 1, .digest = false}, 4);
  for (const TokenId bad : {-1, 512, std::numeric_limits<TokenId>::max()}) {
    const Status status = forward_one(*backend, {1, bad});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().reason, "bad_token");
    EXPECT_EQ(status.error().field, "0");
  }
  EXPECT_TRUE(forward_one(*backend, {1, 511}));
}

TEST(CpuBackend, TheContextEndsWhereTheConfigSays) {
  const auto backend = golden_backend("deepseek_v3", {.threads = 1, .digest = false}, 4);
  EXPECT_TRUE(forward_one(*backend, {1}, 255));
  const Status status = forward_one(*backend, {1, 2}, 255);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().reason, "context_length");
}

TEST(CpuBackend, ANumericFaultNamesTheSequence) {
  const auto backend = golden_backend("deepseek_v3", {.threads = 1, .digest = false}, 4,
                                      [](ModelSpec& spec) { spec.moe.routed_scaling = 3e38; });
  const std::vector<TokenId> tokens{1, 2};
  const std::vector<BatchSequence> batch{{std::span(tokens), 0, std::span(kTable).first(1), false},
                                         {std::span(tokens), 0, std::span(kTable).subspan(1, 1), true}};
  std::vector<float> logits(512);
  const Status status = backend->forward(batch, logits);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInternal);
  EXPECT_EQ(status.error().reason, "numeric_fault");
  EXPECT_EQ(status.error().field, "1");
}

TEST(CpuBackend, AnEmptyBatchIsFine) {
  const auto backend = golden_backend("deepseek_v3", {.threads = 1, .digest = false}, 4);
  EXPECT_TRUE(backend->forward({}, {}));
}

TEST(CpuBackend, KvMemoryBeyondTheMachineIsRefusedBeforeItIsTouched) {
  const auto backend = golden_backend("deepseek_v3", {.threads = 1, .digest = false}, 1);
  for (const std::int32_t blocks : {0, -1, std::numeric_limits<std::int32_t>::max()}) {
    const auto cache = KvCache::create(64, blocks, 576);
    ASSERT_FALSE(cache);
    EXPECT_EQ(cache.error().code, Code::kResourceExhausted);
  }
}

TEST(CpuBackend, KvMemoryFollowsTheKindOfAttention) {
  const auto bytes = [](const char* name) {
    return golden_backend(name, {.threads = 1, .digest = false}, 1)->facts().kv_bytes_per_token;
  };
  EXPECT_EQ(bytes("deepseek_v2_lite"), 3 * (64 + 16) * 4) << "the latent and one roped key";
  EXPECT_EQ(bytes("llama"), 3 * 2 * (16 + 16) * 4) << "a key and a value for each of two kv heads";
  EXPECT_EQ(bytes("deepseek_moe"), 3 * 4 * (32 + 32) * 4) << "every head has its own";
}

TEST(CpuBackend, DraftLayerIsLoadedOnDemandOnly) {
  EXPECT_FALSE(golden_backend("deepseek_v3", {.threads = 1, .digest = false}, 1)->has_mtp());
  EXPECT_TRUE(golden_backend("deepseek_v3", {.threads = 1, .digest = false, .mtp = true}, 1)->has_mtp());
}

TEST(LoadBackend, BadOptionsAndFoldersAreErrors) {
  const auto folder = golden_folder("deepseek_v3");
  EXPECT_EQ(load_backend(folder, {.threads = 0}).error().field, "threads");
  EXPECT_EQ(load_backend(folder, {.threads = 100'000}).error().field, "threads");
  EXPECT_EQ(load_backend("/nonexistent", {}).error().code, Code::kNotFound);
  const test::TempDir dir;
  std::ofstream(dir.path() / "config.json") << R"({"architectures": ["MambaForCausalLM"]})";
  EXPECT_EQ(load_backend(dir.path(), {}).error().reason, "unknown_architecture");
}

TEST(LoadBackend, AConfigOfAnotherSizeThanItsWeightsIsRefused) {
  const test::TempDir dir;
  std::filesystem::copy_file(golden_folder("deepseek_v3") / "model.safetensors",
                             dir.path() / "model.safetensors");
  std::ifstream in(golden_folder("deepseek_v3") / "config.json");
  std::string config{std::istreambuf_iterator<char>(in), {}};
  const std::string from = R"("intermediate_size": 320)";
  ASSERT_NE(config.find(from), std::string::npos);
  config.replace(config.find(from), from.size(), R"("intermediate_size": 321)");
  std::ofstream(dir.path() / "config.json") << config;
  const auto backend = load_backend(dir.path(), {});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().reason, "bad_weights");
}

}  // namespace
}  // namespace tidegate::worker
