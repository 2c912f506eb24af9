#include "worker/engine/grammar/mask_cache.h"

#include <gmock/gmock.h>

#include "tests/unit/worker/engine/grammar/grammar_probe.h"
#include "tests/unit/worker/engine/grammar/test_vocabulary.h"

namespace tidegate::worker::grammar {
namespace {

std::vector<std::string> allowed(MaskCache& cache, Matcher& matcher) {
  const auto table = cache.table_for(matcher.grammar());
  TokenMask mask(cache.vocabulary().limit());
  cache.fill(matcher, *table, mask);
  std::vector<std::string> tokens;
  mask.each([&](std::int32_t id) { tokens.push_back(test_token(id)); });
  return tokens;
}

TEST(MaskCache, LooksPastTheEndOfARuleIntoWhatStandsBelow) {
  MaskCache cache(test_vocabulary_pointer());
  Matcher inner(compiled(
      R"({"type":"array","items":{"type":"array","items":{"const":1},"minItems":1,"maxItems":1},"maxItems":1})"));
  ASSERT_TRUE(inner.accept("[[1"));
  EXPECT_THAT(allowed(cache, inner), testing::UnorderedElementsAre(" ", "]"));
  Matcher outer(compiled(R"({"type":"array","items":{"type":"string","maxLength":1},"maxItems":2})"));
  ASSERT_TRUE(outer.accept("[\"a"));
  EXPECT_THAT(allowed(cache, outer), testing::UnorderedElementsAre("\"", "\",", "\",\"", "\", ", "\", \""));
}

TEST(MaskCache, LengthsLeftDecideBetweenPlainTokens) {
  MaskCache cache(test_vocabulary_pointer());
  Matcher matcher(compiled(R"({"type":"string","minLength":3,"maxLength":3})"));
  ASSERT_TRUE(matcher.accept("\"9"));
  const auto two_left = allowed(cache, matcher);
  EXPECT_THAT(two_left, testing::Contains("ab"));
  EXPECT_THAT(two_left, testing::Contains("\xE6\x9C\x88\xE5\x85\x89"));
  EXPECT_THAT(two_left, testing::Not(testing::Contains("abc")));
  EXPECT_THAT(two_left, testing::Not(testing::Contains("\"")));
  EXPECT_THAT(two_left, testing::Not(testing::Contains("a\"")));
  ASSERT_TRUE(matcher.accept("ab"));
  EXPECT_THAT(allowed(cache, matcher), testing::ElementsAre("\""));
}

TEST(MaskCache, RulesOfJsonAreWalkedOnceForAllGrammars) {
  MaskCache cache(test_vocabulary_pointer());
  Matcher first(compiled(R"({"type":"object","properties":{"a":{"type":"string"}},"required":["a"]})"));
  ASSERT_TRUE(first.accept("{\"a\":\"x"));
  (void)allowed(cache, first);
  const std::int64_t built = cache.shared_built();
  EXPECT_GT(built, 0);
  Matcher second(compiled(R"({"type":"array","items":{"anyOf":[{"type":"string"},{"type":"null"}]}})"));
  ASSERT_TRUE(second.accept("[null,\"y"));
  EXPECT_THAT(allowed(cache, second), testing::Contains("\",\""));
  EXPECT_EQ(cache.shared_built(), built);
}

TEST(MaskCache, TablesAreSharedByKeyAndOutliveTheirPlaceInTheCache) {
  MaskCache cache(test_vocabulary_pointer(), {.grammars_max = 2});
  const auto one = compiled(R"({"const":1})");
  const auto table = cache.table_for(*one);
  EXPECT_EQ(cache.table_for(*compiled(R"({"const":1})")), table);
  for (int n = 2; n < 6; ++n) (void)cache.table_for(*compiled("{\"const\":" + std::to_string(n) + "}"));
  EXPECT_NE(cache.table_for(*one), table);
  Matcher matcher(one);
  TokenMask mask(test_vocabulary().limit());
  cache.fill(matcher, *table, mask);
  EXPECT_EQ(mask.count(), 1U);
}

TEST(MaskCache, ATableThatIsFullStartsOver) {
  MaskCache cache(test_vocabulary_pointer(), {.table_bytes_max = 1, .shared_bytes_max = 1});
  Matcher matcher(compiled(R"({"type":"array","items":{"type":"string"}})"));
  for (const std::string_view token : {"[", "\"", "a", "\"", ",", "\"", "b\"", "]"}) {
    const auto tokens = allowed(cache, matcher);
    EXPECT_THAT(tokens, testing::Contains(std::string(token.substr(0, 1))));
    ASSERT_TRUE(matcher.accept(token));
  }
}

TEST(MaskCache, OnlyTheTokenItselfIsAControlToken) {
  std::vector<Vocabulary::Token> tokens;
  for (std::size_t id = 0; id < 256; ++id) tokens.push_back({static_cast<std::int32_t>(id), test_tokens()[id]});
  tokens.push_back({256, "<call>", TokenKind::kControl});
  tokens.push_back({257, "<call>", TokenKind::kText});
  tokens.push_back({258, "<other>", TokenKind::kControl});
  MaskCache cache(std::make_shared<const Vocabulary>(tokens, 259));
  const ToolFraming framing{.before_calls = {{"<call>", true}}, .after_calls = {{"."}}};
  const std::vector<ToolSignature> tools = {{"t", ""}};
  const auto required = Grammar::from_tool_calls(tools, ToolMode::kRequired, framing, 1);
  ASSERT_TRUE(required) << required.error().to_string();
  TokenMask mask(259);
  Matcher matcher(*required);
  cache.fill(matcher, *cache.table_for(**required), mask);
  EXPECT_TRUE(mask.test(256));
  EXPECT_EQ(mask.count(), 1U);
  const auto perhaps = Grammar::from_tool_calls(tools, ToolMode::kAuto, framing, 1);
  ASSERT_TRUE(perhaps) << perhaps.error().to_string();
  Matcher free(*perhaps);
  cache.fill(free, *cache.table_for(**perhaps), mask);
  EXPECT_TRUE(mask.test(256) && mask.test(257) && mask.test('x'));
  EXPECT_FALSE(mask.test(258));
  EXPECT_FALSE(mask.test(0xFF));
}

TEST(Vocabulary, KnowsWhetherItCanSpellEverything) {
  EXPECT_TRUE(test_vocabulary().is_complete());
  std::vector<Vocabulary::Token> tokens;
  for (std::size_t id = 0; id < 256; ++id) {
    if (id != '}') tokens.push_back({static_cast<std::int32_t>(id), test_tokens()[id]});
  }
  EXPECT_FALSE(Vocabulary(tokens, 256).is_complete());
}

}  // namespace
}  // namespace tidegate::worker::grammar
