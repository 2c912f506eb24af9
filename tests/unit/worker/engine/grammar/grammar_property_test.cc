#include <gmock/gmock.h>

#include <map>

#include "tests/unit/worker/engine/grammar/grammar_probe.h"
#include "tests/unit/worker/engine/grammar/schema_oracle.h"
#include "tests/unit/worker/engine/grammar/test_vocabulary.h"
#include "worker/engine/grammar/mask_cache.h"

namespace tidegate::worker::grammar {
namespace {

// Both ways: whatever the oracle says of a value, the grammar says of its text.
TEST(GrammarProperty, AcceptsExactlyWhatAnIndependentValidatorAccepts) {
  std::int64_t valid = 0, invalid = 0, unsatisfiable = 0;
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    Rng rng(seed);
    RandomJson random(rng, false);
    const json::value schema = random.schema();
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << json::serialize(schema));
    const auto grammar = Grammar::from_json_schema(json::serialize(schema));
    if (!grammar) {
      EXPECT_EQ(grammar.error().reason, "schema_unsatisfiable") << grammar.error().to_string();
      ++unsatisfiable;
      continue;
    }
    const SchemaOracle oracle(schema);
    for (int n = 0; n < 12; ++n) {
      json::value value = random.value_of(schema, schema);
      for (int mutations = n % 4; mutations > 0; --mutations) random.mutate(value);
      const std::string text = spelled(value);
      const bool expected = oracle.valid(value);
      (expected ? valid : invalid) += 1;
      ASSERT_EQ(accepts(*grammar, text), expected) << text << "\nread " << judge(*grammar, text).accepted << " bytes";
    }
  }
  // Otherwise the claim was tested on one side only.
  EXPECT_GT(valid, 4000);
  EXPECT_GT(invalid, 3000);
  EXPECT_LT(unsatisfiable, 150);
}

struct Answer {
  std::string text;
  std::vector<std::int32_t> tokens;
  bool ended = false;
};

// Each next token is drawn evenly from what is allowed, as the worst of models would.
class RandomModel {
 public:
  RandomModel(const Grammar::Pointer& grammar, MaskCache& cache, Rng& rng)
      : matcher_(grammar),
        cache_(cache),
        table_(cache.table_for(*grammar)),
        mask_(test_vocabulary().limit()),
        rng_(rng) {}

  Answer run(std::size_t tokens_max) {
    Answer run;
    while (run.tokens.size() < tokens_max) {
      cache_.fill(matcher_, *table_, mask_);
      EXPECT_TRUE(!matcher_.is_complete() || mask_.empty());
      const std::size_t ways = mask_.count() + (matcher_.can_end() ? 1 : 0);
      EXPECT_GT(ways, 0U) << "stuck after " << run.text;
      if (ways == 0) return run;
      std::uint64_t pick = rng_.below(ways);
      if (pick == mask_.count()) {
        run.ended = true;
        return run;
      }
      std::int32_t token = -1;
      mask_.each([&](std::int32_t id) {
        if (pick-- == 0) token = id;
      });
      if (rng_.below(40) == 0) expect_mask_is_what_accept_takes();
      const bool taken = matcher_.accept(test_token(token));
      EXPECT_TRUE(taken) << "after " << run.text << " token " << test_token(token);
      if (!taken) return run;
      run.tokens.push_back(token);
      run.text += test_token(token);
      if (rng_.below(25) == 0) try_rollback(run);
    }
    return run;
  }

 private:
  void expect_mask_is_what_accept_takes() {
    for (std::int32_t id = 0; id < test_vocabulary().limit(); ++id) {
      const bool taken = matcher_.accept(test_token(id));
      if (taken) matcher_.rollback(1);
      ASSERT_EQ(mask_.test(id), taken) << "token " << id << " '" << test_token(id) << "'";
    }
  }

  void try_rollback(Answer& run) {
    const std::size_t tokens = rng_.below(matcher_.rollback_max() + 1);
    matcher_.rollback(tokens);
    for (std::size_t n = 0; n < tokens; ++n) {
      run.text.resize(run.text.size() - test_token(run.tokens.back()).size());
      run.tokens.pop_back();
    }
    Matcher replayed(matcher_.shared_grammar());
    for (const std::int32_t token : run.tokens) ASSERT_TRUE(replayed.accept(test_token(token)));
    EXPECT_EQ(replayed.can_end(), matcher_.can_end());
    TokenMask expected(test_vocabulary().limit());
    cache_.fill(replayed, *table_, expected);
    cache_.fill(matcher_, *table_, mask_);
    EXPECT_EQ(mask_, expected);
  }

  Matcher matcher_;
  MaskCache& cache_;
  std::shared_ptr<MaskTable> table_;
  TokenMask mask_;
  Rng& rng_;
};

TEST(GrammarProperty, TenThousandRandomAnswersEndParseAndValidate) {
  MaskCache cache(test_vocabulary_pointer());
  std::int64_t runs = 0, tokens = 0;
  for (std::uint64_t seed = 1; runs < 10'000; ++seed) {
    Rng rng(seed);
    RandomJson random(rng, true);
    const json::value schema = random.schema();
    SCOPED_TRACE(testing::Message() << "seed " << seed << ": " << json::serialize(schema));
    const auto grammar = Grammar::from_json_schema(json::serialize(schema), {.nesting_max = 6});
    if (!grammar) {
      ASSERT_EQ(grammar.error().reason, "schema_unsatisfiable") << grammar.error().to_string();
      continue;
    }
    const SchemaOracle oracle(schema);
    for (int n = 0; n < 25; ++n, ++runs) {
      const Answer run = RandomModel(*grammar, cache, rng).run(20'000);
      ASSERT_TRUE(run.ended) << run.text;
      const auto value = json::parse(run.text);
      ASSERT_TRUE(value) << run.text << "\n" << value.error().to_string();
      // "3.0" is an integer to the grammar's bounds but a fraction to the parser's types: say so the same way.
      ASSERT_TRUE(oracle.valid(whole_numbers(*value))) << run.text;
      ASSERT_FALSE(HasFailure()) << run.text;
      tokens += static_cast<std::int64_t>(run.tokens.size());
    }
  }
  EXPECT_GT(tokens, 100'000);
}

TEST(GrammarProperty, RulesOfSeveralLevelsNeverGetStuckAtTheNestingLimit) {
  MaskCache cache(test_vocabulary_pointer());
  for (std::uint16_t nesting = 3; nesting <= 9; ++nesting) {
    const auto grammar = compiled(
        R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"k":{"type":"array","minItems":1,"maxItems":2,
        "items":{"type":"object","properties":{"n":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["n"]}}},
        "required":["k"]}}})",
        {.nesting_max = nesting});
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      Rng rng(seed);
      const Answer run = RandomModel(grammar, cache, rng).run(20'000);
      ASSERT_TRUE(run.ended) << run.text;
      EXPECT_TRUE(json::parse(run.text, nesting)) << run.text;
    }
  }
}

TEST(GrammarProperty, AnyJsonNeverGetsStuckAndParsesWhereItEnds) {
  MaskCache cache(test_vocabulary_pointer());
  int ended = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    const Answer run = RandomModel(seed % 2 == 0 ? Grammar::json_object() : Grammar::json_value(), cache, rng).run(300);
    if (!run.ended) continue;
    ++ended;
    EXPECT_TRUE(json::parse(run.text, 40)) << run.text;
  }
  EXPECT_GT(ended, 20);
}

TEST(GrammarProperty, ALongAnswerStaysSmallAndCanStillBeRolledBack) {
  const auto grammar = compiled(
      R"({"type":"array","items":{"type":"object","properties":{"k":{"type":"array","items":{"type":"integer"}}}}})");
  Matcher matcher(grammar);
  ASSERT_TRUE(matcher.accept("["));
  for (int n = 0; n < 20'000; ++n) {
    ASSERT_TRUE(matcher.accept("{\"k\":[1,2"));
    ASSERT_TRUE(matcher.accept("]}"));
    ASSERT_TRUE(matcher.accept(","));
    if (n % 1000 == 999) {
      matcher.rollback(63);  // 21 members
      EXPECT_FALSE(matcher.accept(","));
    }
    ASSERT_LT(matcher.pushdown().arena_size(), 10'000U);
  }
}

}  // namespace
}  // namespace tidegate::worker::grammar
