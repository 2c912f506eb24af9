// Answers of the demonstration models under random schemas: every one that ends is JSON and is what its schema says, to a validator
// that shares no code with the grammar, and to the check of the gateway, which must not call broken what the engine keeps. A model
// that knows nothing of JSON writes it; some answers think first, and half of the schemas are answered with guesses of the draft
// layer, where there is one. An answer that the context cuts short is the beginning of one.
// TIDEGATE_SCHEMA_GENERATIONS=10000 runs the whole claim: that many whole answers of each model.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/random.h"
#include "gateway/schema/schema_check.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "tests/unit/worker/engine/grammar/grammar_probe.h"
#include "tests/unit/worker/engine/grammar/schema_oracle.h"
#include "tests/unit/worker/engine/grammar/test_vocabulary.h"
#include "worker/engine/open_engine.h"

namespace tidegate::worker::schema_generations_test {
namespace {

constexpr std::size_t kAnswersASchema = 8;

std::int64_t generations_asked() {
  const char* asked = std::getenv("TIDEGATE_SCHEMA_GENERATIONS");
  return asked == nullptr ? 24 : std::strtoll(asked, nullptr, 10);
}

std::unique_ptr<Engine> open_model(const std::string& name, std::int32_t drafts_batch_max) {
  EngineOptions options;
  options.sequences_max = static_cast<std::int32_t>(kAnswersASchema);
  options.drafts_batch_max = drafts_batch_max;
  options.load.digest = false;
  options.entropy = 11;
  auto engine = open_engine(std::string(TG_SOURCE_DIR) + "/models/" + name, options);
  EXPECT_TRUE(engine) << engine.error().to_string();
  return engine ? *std::move(engine) : nullptr;
}

GenerateRequest random_request(Rng& rng, SequenceHandle handle, const grammar::Grammar::Pointer& grammar) {
  static const std::vector<std::string> kPrompts = {"写一首诗", "{\"", "春江花月夜", "Answer in JSON.", "[1, 2,", "x"};
  GenerateRequest request;
  request.handle = handle;
  const std::string text = kPrompts[rng.below(kPrompts.size())];
  if (rng.below(4) == 0) {
    request.messages = {{Role::kUser, text}};
  } else {
    request.raw = RawPrompt{.text = text};
  }
  constexpr double kTemperatures[] = {0, 0.7, 1, 1.2};
  request.sampling.temperature = kTemperatures[rng.below(4)];
  request.sampling.seed = rng.next();
  request.cache_salt = salt_of(static_cast<std::uint8_t>(rng.below(2)));
  request.constraint = grammar;
  return request;
}

/// The last character of an answer that was cut may be half of one, and is shown as U+FFFD.
std::string_view without_half_character(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  while (text.ends_with(kReplacement)) text.remove_suffix(kReplacement.size());
  return text;
}

struct Counts {
  std::int64_t whole = 0;
  std::int64_t held = 0;  ///< of them: the gateway's check had time to say so
  std::int64_t cut = 0;
  std::int64_t bytes = 0;
};

void check_answer(const Outcome& outcome, const grammar::Grammar::Pointer& grammar, const grammar::SchemaOracle& oracle,
                  const std::string& schema, Counts& counts) {
  ASSERT_TRUE(outcome.finish.has_value());
  if (*outcome.finish == FinishReason::kLength) {
    ++counts.cut;
    const std::string_view begun = without_half_character(outcome.content);
    ASSERT_EQ(grammar::judge(grammar, begun).accepted, begun.size()) << outcome.content;
    return;
  }
  ASSERT_EQ(*outcome.finish, FinishReason::kStop) << outcome.error.to_string();
  const auto value = json::parse(outcome.content);
  ASSERT_TRUE(value) << outcome.content << "\n" << value.error().to_string();
  ASSERT_TRUE(oracle.valid(grammar::whole_numbers(*value))) << outcome.content;
  auto check = gateway::SchemaCheck::open(schema);
  ASSERT_TRUE(check) << check.error().to_string();
  const Status held = check->check(outcome.content, "answer");
  if (held) {
    ++counts.held;
  } else {
    ASSERT_EQ(held.error().code, Code::kResourceExhausted) << held.error().to_string() << "\n" << outcome.content;
  }
  ++counts.whole;
  counts.bytes += static_cast<std::int64_t>(outcome.content.size());
}

class SchemaGenerations : public testing::TestWithParam<const char*> {};

TEST_P(SchemaGenerations, EveryAnswerThatEndsParsesAndIsValid) {
  const std::int64_t asked = generations_asked();
  const auto plain = open_model(GetParam(), 0);
  const auto drafting = open_model(GetParam(), static_cast<std::int32_t>(kAnswersASchema));
  ASSERT_TRUE(plain && drafting);
  Counts counts;
  SequenceHandle handle = 0;
  std::int64_t schemas = 0;
  for (std::uint64_t seed = 1; counts.whole < asked; ++seed) {
    ASSERT_LT(seed, static_cast<std::uint64_t>(asked) + 100) << "hardly any answer ends";
    Rng rng(seed);
    const json::value schema = grammar::RandomJson(rng, true).schema();
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << json::serialize(schema));
    const auto grammar = grammar::Grammar::from_json_schema(json::serialize(schema), {.nesting_max = 6});
    if (!grammar) {
      ASSERT_EQ(grammar.error().reason, "schema_unsatisfiable") << grammar.error().to_string();
      continue;
    }
    ++schemas;
    Engine& engine = seed % 2 == 0 ? *plain : *drafting;
    std::map<SequenceHandle, Outcome> outcomes;
    for (std::size_t n = 0; n < kAnswersASchema; ++n) {
      const Status submitted = engine.submit(random_request(rng, ++handle, *grammar));
      ASSERT_TRUE(submitted) << submitted.error().to_string();
    }
    while (!engine.idle()) collect(engine.step(), outcomes);
    ASSERT_EQ(outcomes.size(), kAnswersASchema);
    const grammar::SchemaOracle oracle(schema);
    for (const auto& [each, outcome] : outcomes) {
      check_answer(outcome, *grammar, oracle, json::serialize(schema), counts);
      ASSERT_FALSE(HasFatalFailure()) << "answer " << each;
    }
  }
  EXPECT_GE(counts.held * 10, counts.whole * 9) << "the gateway's check had no time for more than a few";
  std::printf("%s: %lld whole answers of %lld schemas, %lld bytes, %lld held by the gateway's check; %lld more were cut by the context\n",
              GetParam(), static_cast<long long>(counts.whole), static_cast<long long>(schemas),
              static_cast<long long>(counts.bytes), static_cast<long long>(counts.held), static_cast<long long>(counts.cut));
}

INSTANTIATE_TEST_SUITE_P(, SchemaGenerations, testing::Values("tang-moe", "tang-distill-qwen2"), [](const auto& each) {
  std::string name = each.param;
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace tidegate::worker::schema_generations_test
