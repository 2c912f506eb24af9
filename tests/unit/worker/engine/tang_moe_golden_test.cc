#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/json/json.h"
#include "tests/golden/golden_messages.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/grammar/grammar.h"
#include "worker/engine/open_engine.h"

namespace tidegate::worker {
namespace {

constexpr const char* kModel = TG_SOURCE_DIR "/models/tang-moe";
constexpr TokenId kEnd = 1;
constexpr TokenId kThinkEnd = 6112;

struct GoldenCase {
  std::vector<ChatMessage> messages;
  std::int32_t prompt_tokens = 0;
  std::vector<TokenId> greedy;  ///< cut before the first step that is too close to call
  std::vector<TokenId> drafts;  ///< the draft layer's guess behind each of them
  double draft_margin = 0;      ///< the closest of these guesses
  double tolerance = 0;
};

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  const auto golden = json::parse_file(TG_SOURCE_DIR "/tests/golden/tang_moe/golden.json");
  EXPECT_TRUE(golden);
  if (!golden) return cases;
  for (const auto& value : golden->as_object().at("cases").as_array()) {
    const json::object& item = value.as_object();
    GoldenCase& one = cases.emplace_back();
    one.messages = golden_messages(item);
    one.prompt_tokens = static_cast<std::int32_t>(item.at("ids").as_array().size());
    // Two logits may each be off by the fp32 tolerance of tests/golden/README.md.
    const double tolerance = 2 * 2e-4 * item.at("first_step_logits_rms").to_number<double>();
    one.tolerance = tolerance;
    const auto& margins = item.at("greedy64_margins").as_array();
    const auto& ids = item.at("greedy64").as_array();
    for (std::size_t n = 0; n < ids.size() && margins[n].to_number<double>() > tolerance; ++n) {
      one.greedy.push_back(static_cast<TokenId>(ids[n].as_int64()));
      if (one.greedy.back() == kEnd) break;  // the golden run goes on past the end token, an engine does not
    }
    const auto& drafts = item.at("mtp_draft_after_each_greedy_token").as_array();
    const auto& draft_margins = item.at("mtp_draft_margins").as_array();
    one.draft_margin = 1e9;
    for (std::size_t n = 0; n < one.greedy.size(); ++n) {
      one.drafts.push_back(static_cast<TokenId>(drafts[n].as_int64()));
      one.draft_margin = std::min(one.draft_margin, draft_margins[n].to_number<double>());
    }
  }
  return cases;
}

std::unique_ptr<Engine> open(std::int32_t sequences, std::int32_t step_tokens, std::int32_t drafts_batch_max = 0) {
  EngineOptions options;
  options.drafts_batch_max = drafts_batch_max;
  options.sequences_max = sequences;
  options.step_tokens_max = step_tokens;
  options.load.digest = false;
  auto engine = open_engine(kModel, options);
  EXPECT_TRUE(engine) << engine.error().to_string();
  return engine ? *std::move(engine) : nullptr;
}

void drain(Engine& engine, std::map<SequenceHandle, Outcome>& outcomes) {
  while (!engine.idle()) collect(engine.step(), outcomes);
}

GenerateRequest greedy_request(SequenceHandle handle, const GoldenCase& golden) {
  GenerateRequest request;
  request.handle = handle;
  request.messages = golden.messages;
  request.sampling.temperature = 0;
  request.sampling.max_tokens = static_cast<std::int32_t>(golden.greedy.size());
  return request;
}

// What the golden ids say, written without the engine's own splitter.
void expect_golden(const Tokenizer& tokenizer, const GoldenCase& golden, const Outcome& outcome) {
  const auto think_end = std::find(golden.greedy.begin(), golden.greedy.end(), kThinkEnd);
  ASSERT_NE(think_end, golden.greedy.end());
  std::string reasoning = tokenizer.decode(std::vector<TokenId>(golden.greedy.begin(), think_end));
  std::string content = tokenizer.decode(std::vector<TokenId>(think_end + 1, golden.greedy.end()));
  while (reasoning.ends_with('\n')) reasoning.pop_back();
  while (content.starts_with('\n')) content.erase(0, 1);
  EXPECT_EQ(outcome.reasoning, reasoning);
  EXPECT_EQ(outcome.content, content);
  EXPECT_EQ(outcome.usage.prompt_tokens, golden.prompt_tokens);
  EXPECT_EQ(outcome.usage.completion_tokens, static_cast<std::int32_t>(golden.greedy.size()));
  EXPECT_EQ(outcome.usage.reasoning_tokens, static_cast<std::int32_t>(think_end - golden.greedy.begin()) + 1);
  EXPECT_EQ(outcome.finish, golden.greedy.back() == kEnd ? FinishReason::kStop : FinishReason::kLength);
}

TEST(TangMoeGolden, GreedyAnswersEqualTheOracleAloneAndInOneBatch) {
  const auto cases = golden_cases();
  ASSERT_EQ(cases.size(), 8U);
  const auto tokenizer = Tokenizer::load(kModel);
  ASSERT_TRUE(tokenizer);
  std::size_t compared = 0;
  // One at a time with chunks of three tokens, then all eight together.
  const auto alone = open(1, 3);
  const auto together = open(8, 256);
  ASSERT_TRUE(alone && together);
  std::map<SequenceHandle, Outcome> alone_outcomes;
  std::map<SequenceHandle, Outcome> together_outcomes;
  for (std::size_t index = 0; index < cases.size(); ++index) {
    ASSERT_TRUE(alone->submit(greedy_request(index, cases[index])));
    drain(*alone, alone_outcomes);
    ASSERT_TRUE(together->submit(greedy_request(index, cases[index])));
    compared += cases[index].greedy.size();
  }
  drain(*together, together_outcomes);
  for (std::size_t index = 0; index < cases.size(); ++index) {
    SCOPED_TRACE(testing::Message() << "case " << index);
    expect_golden(*tokenizer, cases[index], alone_outcomes[index]);
    expect_golden(*tokenizer, cases[index], together_outcomes[index]);
  }
  EXPECT_GT(compared, 400U);
}

// Invariant E1 on the real model: the same request gives the same answer in any company.
TEST(TangMoeGolden, SeededAnswersDoNotDependOnTheBatch) {
  const auto cases = golden_cases();
  const auto request_for = [&](std::size_t index) {
    auto request = greedy_request(index, cases[index]);
    request.sampling.temperature = 1.2;
    request.sampling.seed = 1000 + index;
    request.sampling.max_tokens = 40;
    return request;
  };
  const auto alone = open(1, 256);
  const auto crowded = open(4, 9);
  ASSERT_TRUE(alone && crowded);
  std::map<SequenceHandle, Outcome> expected;
  std::map<SequenceHandle, Outcome> outcomes;
  for (std::size_t index = 0; index < cases.size(); ++index) {
    ASSERT_TRUE(alone->submit(request_for(index)));
    drain(*alone, expected);
    ASSERT_TRUE(crowded->submit(request_for(index)));
  }
  drain(*crowded, outcomes);
  for (std::size_t index = 0; index < cases.size(); ++index) {
    EXPECT_EQ(outcomes[index].reasoning, expected[index].reasoning) << index;
    EXPECT_EQ(outcomes[index].content, expected[index].content) << index;
  }
}

/// Guesses that a run of these tokens checks, and finds right: each step but the first begins behind a guess, and a right one
/// saves the step that would have made the next.
std::pair<std::int32_t, std::int32_t> expected_drafts(const GoldenCase& golden) {
  std::int32_t drafted = 0;
  std::int32_t accepted = 0;
  std::size_t said = 1;
  while (said < golden.greedy.size()) {
    const bool is_guessed = golden.greedy.size() - said >= 2;  // max_tokens is the number of golden tokens
    const bool is_right = is_guessed && golden.drafts[said - 1] == golden.greedy[said];
    drafted += is_guessed ? 1 : 0;
    accepted += is_right ? 1 : 0;
    said += is_right ? 2 : 1;
  }
  return {drafted, accepted};
}

TEST(TangMoeGolden, SpeculationSaysTheSameAndItsGuessesAreTheOracles) {
  const auto cases = golden_cases();
  const auto engine = open(4, 64, 4);
  ASSERT_TRUE(engine);
  const auto tokenizer = Tokenizer::load(kModel);
  ASSERT_TRUE(tokenizer);
  std::map<SequenceHandle, Outcome> outcomes;
  std::int32_t accepted = 0;
  std::int32_t compared = 0;
  for (std::size_t index = 0; index < cases.size(); ++index) {
    SCOPED_TRACE(testing::Message() << "case " << index);
    ASSERT_TRUE(engine->submit(greedy_request(index, cases[index])));
    drain(*engine, outcomes);
    expect_golden(*tokenizer, cases[index], outcomes[index]);
    accepted += outcomes[index].usage.accepted_tokens;
    // A guess too close to call may come out differently, and then every later step begins elsewhere.
    if (cases[index].draft_margin <= cases[index].tolerance) continue;
    ++compared;
    const auto [drafted, right] = expected_drafts(cases[index]);
    EXPECT_EQ(outcomes[index].usage.drafted_tokens, drafted);
    EXPECT_EQ(outcomes[index].usage.accepted_tokens, right);
  }
  EXPECT_GT(compared, 3);
  EXPECT_GT(accepted, 100);
}

TEST(TangMoeGolden, SeededAnswersAreTheSameWithGuessesAndCachedPrefixes) {
  const auto cases = golden_cases();
  const auto plain = open(1, 256);
  const auto fast = open(4, 17, 4);
  ASSERT_TRUE(plain && fast);
  std::map<SequenceHandle, Outcome> expected;
  std::map<SequenceHandle, Outcome> outcomes;
  std::int32_t cached = 0;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t index = 0; index < cases.size(); ++index) {
      auto request = greedy_request(10 * static_cast<std::size_t>(round) + index, cases[index]);
      request.messages.front().content += std::string(150, 'x');  // long enough to fill blocks
      request.sampling.temperature = 1.1;
      request.sampling.seed = 70 + index;
      request.sampling.max_tokens = 30;
      request.sampling.logprobs = 2;
      ASSERT_TRUE(plain->submit(request));
      drain(*plain, expected);
      request.cache_salt = salt_of(1);
      ASSERT_TRUE(fast->submit(std::move(request)));
    }
    drain(*fast, outcomes);
  }
  for (const auto& [handle, outcome] : outcomes) {
    EXPECT_EQ(outcome.reasoning, expected[handle].reasoning) << handle;
    EXPECT_EQ(outcome.content, expected[handle].content) << handle;
    EXPECT_EQ(outcome.logprobs, expected[handle].logprobs) << "to the last bit: " << handle;
    cached += outcome.usage.cached_tokens;
  }
  EXPECT_GT(cached, 0);
}

void expect_poem(const std::string& content) {
  const auto value = json::parse(content);
  ASSERT_TRUE(value && value->is_object()) << content;
  const json::object& poem = value->get_object();
  ASSERT_TRUE(poem.contains("title") && poem.contains("lines")) << content;
  EXPECT_TRUE(poem.at("title").is_string()) << content;
  ASSERT_TRUE(poem.at("lines").is_array()) << content;
  EXPECT_EQ(poem.at("lines").get_array().size(), 4U) << content;
  for (const json::value& line : poem.at("lines").get_array()) EXPECT_TRUE(line.is_string()) << content;
}

// A model that has never seen JSON writes it all the same, and whoever shares its batch says what it says alone.
TEST(TangMoeGolden, ConstrainedAnswersParseAndDisturbNobody) {
  const auto cases = golden_cases();
  const auto poem = grammar::Grammar::from_json_schema(R"({"type":"object","properties":{
    "title":{"type":"string","minLength":1,"maxLength":12},
    "lines":{"type":"array","items":{"type":"string","minLength":1,"maxLength":7},"minItems":4,"maxItems":4}},
    "required":["title","lines"]})");
  ASSERT_TRUE(poem) << poem.error().to_string();
  const auto free_request = [&](std::size_t index) {
    auto request = greedy_request(index, cases[index]);
    request.sampling.temperature = 1;
    request.sampling.seed = 50 + index;
    request.sampling.max_tokens = 40;
    return request;
  };
  constexpr std::size_t kConstrained = 100;
  const auto alone = open(1, 256);
  const auto crowded = open(8, 64);
  ASSERT_TRUE(alone && crowded);
  std::map<SequenceHandle, Outcome> expected;
  std::map<SequenceHandle, Outcome> outcomes;
  for (std::size_t index = 0; index < 4; ++index) {
    ASSERT_TRUE(alone->submit(free_request(index)));
    drain(*alone, expected);
    auto request = free_request(index);
    request.handle = kConstrained + index;
    request.sampling.max_tokens = 0;
    request.sampling.temperature = 0.7;
    request.constraint = *poem;
    ASSERT_TRUE(crowded->submit(std::move(request)));
    ASSERT_TRUE(crowded->submit(free_request(index)));
  }
  drain(*crowded, outcomes);
  for (std::size_t index = 0; index < 4; ++index) {
    EXPECT_EQ(outcomes[index].reasoning, expected[index].reasoning) << index;
    EXPECT_EQ(outcomes[index].content, expected[index].content) << index;
    EXPECT_EQ(outcomes[kConstrained + index].finish, FinishReason::kStop) << outcomes[kConstrained + index].content;
    expect_poem(outcomes[kConstrained + index].content);
  }
}

TEST(TangMoeGolden, OpensWithTheDigestAndFactsOfTheFolder) {
  EngineOptions options;
  const auto engine = open_engine(kModel, options);
  ASSERT_TRUE(engine) << engine.error().to_string();
  const EngineFacts& facts = (*engine)->facts();
  EXPECT_EQ(facts.engine, "cpu");
  EXPECT_EQ(facts.architecture, "DeepseekV3ForCausalLM");
  EXPECT_EQ(facts.context_max, 1024);
  EXPECT_EQ(facts.sequences_max, 16);
  EXPECT_EQ(facts.kv_tokens_capacity, 16 * 1024);
  EXPECT_TRUE(facts.weights_digest.starts_with("sha256:")) << facts.weights_digest;
}

TEST(TangMoeGolden, AFolderThatIsNotThereIsAnError) {
  const auto engine = open_engine("/nonexistent", {});
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, Code::kNotFound);
}

}  // namespace
}  // namespace tidegate::worker
