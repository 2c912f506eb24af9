#include "gateway/schema/schema_check.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>

namespace tidegate::gateway {
namespace {

/// The schema's word that the text breaks; "" when it holds.
std::string broken_word(std::string_view schema, std::string_view text) {
  auto check = SchemaCheck::open(schema);
  EXPECT_TRUE(check) << schema;
  if (!check) return "unreadable schema";
  const Status held = check->check(text, "answer");
  return held ? "" : held.error().reason;
}

struct Case {
  const char* schema;
  const char* good;
  const char* bad;
  const char* word;
};

TEST(SchemaCheck, EveryWordHoldsBackWhatBreaksItAndNothingElse) {
  const Case cases[] = {
      {R"({"type":"string"})", R"("a")", "1", "type"},
      {R"({"type":["string","null"]})", "null", "true", "type"},
      {R"({"type":"object"})", "{}", "[]", "type"},
      {R"({"type":"array"})", "[]", "{}", "type"},
      {R"({"type":"boolean"})", "false", "0", "type"},
      {R"({"type":"null"})", " null ", "0", "type"},
      {R"({"type":"number"})", "0.5", R"("0.5")", "type"},
      {R"({"type":"integer"})", "7", "7.5", "type"},
      {R"({"type":"integer"})", "7.0", "1e-1", "type"},
      {R"({"type":"integer"})", "1e20", "null", "type"},
      {R"({"enum":["a",1,null,[1,{"b":2}]]})", R"([1,{"b":2.0}])", R"([1,{"b":3}])", "enum"},
      {R"({"enum":[{"a":1,"b":2}]})", R"({"b":2,"a":1})", R"({"a":1})", "enum"},
      {R"({"const":5})", "5.0", "6", "const"},
      {R"({"const":{"a":[]}})", R"({"a":[]})", R"({"a":{}})", "const"},
      {R"({"minLength":2})", R"("月潮")", R"("月")", "minLength"},
      {R"({"maxLength":2})", R"("\ud83c\udf0a月")", R"("abc")", "maxLength"},
      {R"({"pattern":"b+"})", R"("abbc")", R"("ac")", "pattern"},
      {R"({"pattern":"^[A-Z]{2}$"})", R"("AB")", R"("ABC")", "pattern"},
      {R"({"minimum":0.3})", "0.30", "0.29", "minimum"},
      {R"({"maximum":9007199254740992})", "9007199254740992", "9007199254740993", "maximum"},
      {R"({"exclusiveMinimum":0})", "0.001", "0", "exclusiveMinimum"},
      {R"({"exclusiveMaximum":1})", "0.999", "1.0", "exclusiveMaximum"},
      {R"({"multipleOf":3})", "-9007199254740993", "10", "multipleOf"},
      {R"({"multipleOf":0.1})", "0.3", "0.35", "multipleOf"},
      {R"({"multipleOf":0.01})", "4.35", "4.355", "multipleOf"},
      {R"({"minItems":1})", "[0]", "[]", "minItems"},
      {R"({"maxItems":1})", "[0]", "[0,0]", "maxItems"},
      {R"({"items":{"type":"null"}})", "[null,null]", "[null,0]", "type"},
      {R"({"required":["a"]})", R"({"a":null})", R"({"A":null})", "required"},
      {R"({"properties":{"a":{"type":"null"}}})", R"({"b":1})", R"({"a":1})", "type"},
      {R"({"additionalProperties":false})", "{}", R"({"a":1})", "additionalProperties"},
      {R"({"properties":{"a":{}},"additionalProperties":{"type":"null"}})", R"({"a":1,"b":null})", R"({"b":1})",
       "type"},
      {R"({"anyOf":[{"type":"null"},{"minimum":5,"type":"integer"}]})", "5", "4", "anyOf"},
      {R"({"properties":{"a":false}})", "{}", R"({"a":1})", "false"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(broken_word(one.schema, one.good), "") << one.schema << ' ' << one.good;
    EXPECT_EQ(broken_word(one.schema, one.bad), one.word) << one.schema << ' ' << one.bad;
  }
}

TEST(SchemaCheck, WordsOfOneTypeSayNothingOfOthers) {
  const char* schema = R"({"minLength":5,"pattern":"x","minimum":5,"multipleOf":7,"minItems":5,"required":["a"],
                           "additionalProperties":false})";
  for (const char* text : {"null", "true"}) EXPECT_EQ(broken_word(schema, text), "");
}

TEST(SchemaCheck, EveryDecimalMultipleIsOne) {
  const std::pair<std::string, std::size_t> steps[] = {{"0.1", 1}, {"0.01", 2}, {"0.001", 3}};
  for (const auto& [step, digits] : steps) {
    const std::string schema = R"({"multipleOf":)" + step + "}";
    for (int i = 1; i < 2'000; ++i) {
      std::string text = std::to_string(i * 37);
      while (text.size() <= digits) text.insert(0, "0");
      text.insert(text.size() - digits, ".");
      ASSERT_EQ(broken_word(schema, text), "") << text << " of " << step;
      ASSERT_EQ(broken_word(schema, text + "5"), "multipleOf") << text << "5 of " << step;
    }
  }
}

TEST(SchemaCheck, ReferencesAreFollowedToTheRootAndToDefinitions) {
  const char* list =
      R"({"type":"object","properties":{"value":{"type":"integer"},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},
          "required":["value","next"],"additionalProperties":false})";
  EXPECT_EQ(broken_word(list, R"({"value":1,"next":{"value":2,"next":null}})"), "");
  EXPECT_EQ(broken_word(list, R"({"value":1,"next":{"value":"2","next":null}})"), "anyOf");
  for (const std::string home : {"$defs", "$def", "definitions"}) {
    const std::string schema = R"({")" + home + R"(":{"n":{"type":"null"}},"items":{"$ref":"#/)" + home + R"(/n"}})";
    EXPECT_EQ(broken_word(schema, "[null]"), "") << schema;
    EXPECT_EQ(broken_word(schema, "[0]"), "type") << schema;
  }
  EXPECT_EQ(broken_word(R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"null"}},"type":"null"})", "0"), "type");
}

TEST(SchemaCheck, WhatNobodyPromisedHoldsNothingBack) {
  const std::tuple<const char*, const char*> cases[] = {
      {R"({"not":{},"oneOf":[],"contains":{"type":"null"},"uniqueItems":true})", "[1,1]"},
      {R"({"format":"uuid"})", R"("no uuid")"},
      {R"({"pattern":"(?=x)y"})", R"("z")"},
      {R"({"pattern":"^a\\sb$"})", "\"a\u00a0b\""},
      {R"({"pattern":"^[[:alpha:]]$"})", R"(":]")"},
      {R"({"$ref":"#/$defs/none"})", "1"},
      {R"({"$ref":"https://example.com/x"})", "1"},
      {R"({"items":[{"type":"null"}]})", "[1]"},
      {R"({"prefixItems":[{}],"items":{"type":"null"}})", "[1]"},
      {R"({"patternProperties":{"^x":{}},"additionalProperties":false})", R"({"x1":1})"},
      {R"({"type":"file","minLength":"2","required":"a","anyOf":[]})", R"("")"},
      {"{}", "1e999"},
      {R"({"multipleOf":0.1,"type":"integer"})", "1e999"},
  };
  for (const auto& [schema, text] : cases) EXPECT_EQ(broken_word(schema, text), "") << schema;
  EXPECT_EQ(broken_word(R"({"pattern":"^a\\sb$"})", R"("a-b")"), "pattern");
}

TEST(SchemaCheck, TheMessageNamesThePlaceAndTheRule) {
  auto check = SchemaCheck::open(
      R"({"properties":{"items":{"items":{"properties":{"name":{"maxLength":3}},"required":["name"]}}}})");
  ASSERT_TRUE(check);
  const Status broken = check->check(R"({"items":[{"name":"ok"},{"name":"four"}]})", "answer");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error(), Error(Code::kInvalidArgument, "maxLength",
                                  "'answer.items[1].name' has 4 characters of at most 3", "answer.items[1].name"));
  const Status lacks = check->check(R"({"items":[{}]})", "answer");
  ASSERT_FALSE(lacks);
  EXPECT_EQ(lacks.error().message, "'answer.items[0]' lacks 'name'");
  EXPECT_TRUE(check->check(R"({"items":[]})", "answer")) << "one object reads many texts";
}

TEST(SchemaCheck, NamesFromATextAreShortenedInPlaces) {
  auto check = SchemaCheck::open(R"({"additionalProperties":{"additionalProperties":false}})");
  ASSERT_TRUE(check);
  const std::string key(10'000, 'k');
  const Status broken = check->check(R"({")" + key + R"(":{")" + key + R"(":1}})", "answer");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().field, "answer." + key.substr(0, 64) + "." + key.substr(0, 64));
}

TEST(SchemaCheck, WhatIsNotOneJsonTextIsBroken) {
  for (const char* text : {"", " ", "{", R"({"a":1,})", "{} {}", "{}x", "```json\n{}\n```", "NaN", "'a'", "\"\xff\"",
                           "nul", R"({"a":1)"}) {
    EXPECT_EQ(broken_word("{}", text), "json") << text;
  }
}

TEST(SchemaCheck, OfAMemberThatIsRepeatedTheLastOneCounts) {
  const char* schema = R"({"properties":{"a":{"type":"null"}}})";
  EXPECT_EQ(broken_word(schema, R"({"a":1,"a":null})"), "");
  EXPECT_EQ(broken_word(schema, R"({"a":null,"a":1})"), "type");
}

std::string nested(std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(SchemaCheck, DeepTextsAreReadToTheirBound) {
  const char* schema = R"({"anyOf":[{"type":"null"},{"type":"array","items":{"$ref":"#"}}]})";
  EXPECT_EQ(broken_word(schema, nested(SchemaCheck::kTextDepthMax)), "");
  EXPECT_EQ(broken_word(schema, nested(SchemaCheck::kTextDepthMax + 1)), "json");
}

TEST(SchemaCheck, EndlessWorkIsGivenUpWithoutAVerdict) {
  const auto is_given_up = [](std::string_view schema, std::string_view text) {
    return broken_word(schema, text) == "check_too_long";
  };
  EXPECT_TRUE(is_given_up(R"({"$ref":"#"})", "1"));
  EXPECT_TRUE(is_given_up(R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "null"));
  const char* doubling = R"({"anyOf":[{"items":{"$ref":"#"},"minItems":1},
                                      {"items":{"$ref":"#"},"minItems":1,"maxItems":2}]})";
  EXPECT_TRUE(is_given_up(doubling, nested(SchemaCheck::kTextDepthMax)));
  const auto quoted = [](std::int64_t bytes) {
    return '"' + std::string(static_cast<std::size_t>(bytes) - 2, 'x') + '"';
  };
  EXPECT_EQ(broken_word("{}", quoted(SchemaCheck::kTextBytesMax)), "");
  EXPECT_TRUE(is_given_up("{}", quoted(SchemaCheck::kTextBytesMax + 1)));
  EXPECT_TRUE(is_given_up(R"({"pattern":"y{500}"})", quoted(SchemaCheck::kTextBytesMax)));
}

TEST(SchemaCheck, TheBoundIsForAllTextsOfOneObject) {
  auto check = SchemaCheck::open(R"({"items":{"type":"integer"}})");
  ASSERT_TRUE(check);
  std::string text = "[0";
  for (int i = 0; i < 50'000; ++i) text += ",0";
  text += ']';
  EXPECT_TRUE(check->check(text, "answer"));
  EXPECT_TRUE(check->check(text, "answer"));
  const Status third = check->check(text, "answer");
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kResourceExhausted);
}

TEST(SchemaCheck, ASchemaThatIsNoJsonIsNotOpened) { EXPECT_FALSE(SchemaCheck::open("{")); }

}  // namespace
}  // namespace tidegate::gateway
