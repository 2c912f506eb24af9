#include "worker/engine/grammar/grammar.h"

#include <gmock/gmock.h>

#include "tests/unit/worker/engine/grammar/grammar_probe.h"

namespace tidegate::worker::grammar {
namespace {

TEST(Grammar, AnyObjectIsCompactJsonWithSingleSpaces) {
  const auto object = Grammar::json_object();
  expect_accepts(object,
                 {"{}", "{ }", R"({"a":1})", R"({ "a": [1, -2.5e+10, true, null, "x"], "b": {"c": []} })", R"({"":""})",
                  "{\"\xE6\x9C\x88\":\"\xF0\x9F\x8C\x99\"}", R"({"a":"\u6708\ud83c\udf19\n\/"})"});
  expect_rejects(object, {"",
                          "1",
                          "[]",
                          "{",
                          R"({"a"})",
                          R"({"a":1,})",
                          R"({"a":1}})",
                          R"({"a":  1})",
                          "{\n}",
                          R"({"a":01})",
                          R"({"a":-0})",
                          R"({"a":1.})",
                          R"({"a":.5})",
                          R"({"a":+1})",
                          R"({a:1})",
                          "{\"a\":\"\n\"}",
                          "{\"a\":\"\x80\"}",
                          "{\"a\":\"\xC0\xAF\"}",
                          "{\"a\":\"\xED\xA0\x80\"}",
                          R"({"a":"\ud83c"})",
                          R"({"a":"\udf19"})",
                          R"({"a":"\x"})",
                          R"({"a":tru})",
                          " {}",
                          "{} "});
}

TEST(Grammar, AnyValueMayBeABareOne) {
  const auto value = Grammar::json_value();
  expect_accepts(value, {"0", "-1", "-0.5", "1E-9", "true", "null", "\"x\"", "[[[]]]", "{}"});
  expect_rejects(value, {"-", "1e", "1e999", "nul", "\"", "[1 ,2]", "[,]"});
}

TEST(Grammar, NestingIsBoundedAndBelowTheBoundEveryRunCanStillEnd) {
  const auto value = Grammar::json_value({.nesting_max = 3});
  expect_accepts(value, {"[[[]]]", R"([[{"a":1}]])"});
  EXPECT_EQ(judge(value, "[[[[").accepted, 3U);
  // The third level must not be opened where a fourth would be demanded.
  const auto chain =
      compiled(R"({"type":"object","properties":{"n":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["n"]})",
               {.nesting_max = 2});
  expect_accepts(chain, {R"({"n":null})", R"({"n":{"n":null}})"});
  EXPECT_EQ(judge(chain, R"({"n":{"n":{)").accepted, 10U);
}

// One level would be left for the object inside, which takes three.
TEST(Grammar, ARuleIsEnteredOnlyIfItsShortestWayOutFits) {
  const auto grammar = compiled(
      R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"k":{"type":"array","minItems":1,"items":
      {"type":"object","properties":{"n":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["n"]}}},
      "required":["k"]}}})",
      {.nesting_max = 4});
  expect_accepts(grammar, {R"({"k":[{"n":null}]})"});
  EXPECT_EQ(judge(grammar, R"({"k":[{"n":{)").accepted, 11U);
}

TEST(Grammar, OfVeryManyAlternativesThatBeginAlikeTheFirstAreKept) {
  std::string schema = R"({"anyOf":[)";
  for (int n = 0; n < 400; ++n) {
    schema += (n > 0 ? "," : "") + std::string(R"({"properties":{"k":{"const":)") + std::to_string(n) + "}}}";
  }
  const auto grammar = compiled(schema + "]}");
  expect_accepts(grammar, {R"({"k":0})", R"({"k": 30})"});
  Matcher matcher(grammar);
  for (const std::string_view token : {"{", "\"k\"", ":", " "}) {
    ASSERT_TRUE(matcher.accept(token));
    EXPECT_GT(matcher.configs().size(), 0U);
    EXPECT_LE(matcher.configs().size(), Matcher::kWaysMax);
  }
}

TEST(Grammar, PropertiesComeInDeclaredOrder) {
  const auto grammar = compiled(R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"boolean"},
    "c":{"type":"null"}},"required":["b"]})");
  expect_accepts(grammar, {R"({"b":true})", R"({"a":1,"b":false})", R"({"b":true,"c":null})",
                           R"({ "a": 1, "b": true, "c": null })"});
  expect_rejects(grammar, {"{}", R"({"a":1})", R"({"b":true,"a":1})", R"({"b":1})", R"({"b":true,"d":1})",
                           R"({"b":true,"b":true})", R"({"b":true,})"});
}

TEST(Grammar, OtherPropertiesFollowAndNeverShadowDeclaredOnes) {
  const auto grammar = compiled(
      R"({"properties":{"ab":{"type":"integer"}, "a\"":{"type":"null"}},"additionalProperties":{"type":"string"}})");
  expect_accepts(grammar, {"{}", R"({"x":"1"})", R"({"ab":1,"a":"","abc":"","b":"","":""})",
                           R"({"a\"":null,"a\"b":"x"})", R"({"a\\":"x"})", "{\"a\xE6\x9C\x88\":\"\"}"});
  expect_rejects(grammar, {R"({"ab":"1"})", R"({"x":"1","ab":1})", R"({"x":"1","ab":"1"})", R"({"a\u0062":"1"})",
                           R"({"x":1})", R"({"a\"":"x"})"});
  expect_accepts(compiled(R"({"type":"object","additionalProperties":false})"), {"{}"});
  expect_rejects(compiled(R"({"type":"object","additionalProperties":false})"), {R"({"a":1})"});
  expect_accepts(compiled(R"({"type":"object"})"), {R"({"a":{"b":[1]}})"});
  expect_accepts(compiled(R"({"required":["k"]})"), {R"({"k":[1],"z":2})"});
  expect_rejects(compiled(R"({"required":["k"]})"), {"{}"});
}

TEST(Grammar, AKeyMayNeedEscapes) {
  expect_accepts(compiled(R"({"properties":{"a\n\"\u0001":{"const":1}},"required":["a\n\"\u0001"]})"),
                 {R"({"a\n\"\u0001":1})"});
}

TEST(Grammar, ArraysCount) {
  const auto two_or_three = compiled(R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})");
  expect_accepts(two_or_three, {"[1,2]", "[ 1, 2, 3 ]"});
  expect_rejects(two_or_three, {"[]", "[1]", "[1,2,3,4]", "[1,2,3,", "[1,\"a\"]"});
  expect_accepts(compiled(R"({"type":"array","maxItems":0})"), {"[]", "[ ]"});
  expect_rejects(compiled(R"({"type":"array","maxItems":0})"), {"[1]"});
  const auto tuple = compiled(
      R"({"prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},"minItems":1,"maxItems":4})");
  expect_accepts(tuple, {"[1]", "[1,\"a\"]", "[1,\"a\",null,null]"});
  expect_rejects(tuple, {"[]", "[\"a\"]", "[1,null]", "[1,\"a\",null,null,null]"});
  expect_rejects(compiled(R"({"prefixItems":[{"type":"integer"}]})"), {"[1,2]"});
  expect_rejects(compiled(R"({"prefixItems":[{},{}],"maxItems":1})"), {"[1,2]"});
  expect_accepts(
      compiled(R"({"type":"array","items":{"type":"array","minItems":1,"items":{"type":"boolean"}},"minItems":1})"),
      {"[[true],[false,true]]"});
}

TEST(Grammar, LengthsCountCharacters) {
  const auto grammar = compiled(R"({"type":"string","minLength":2,"maxLength":3})");
  expect_accepts(grammar, {"\"ab\"", "\"\xE6\x9C\x88\xE6\x9C\x88\"", R"("\ud83c\udf19a")", R"("\n\n\n")"});
  expect_rejects(grammar, {"\"a\"", "\"abcd\"", R"("\ud83c\udf19")"});
  expect_accepts(compiled(R"({"type":"string","maxLength":0})"), {"\"\""});
}

TEST(Grammar, IntegerBoundsAreExact) {
  for (const auto& [low, high] :
       {std::pair{-13, 27}, {0, 0}, {5, 5}, {-9, -9}, {-120, -7}, {98, 1203}, {-1, 1}, {0, 100}}) {
    const auto grammar = compiled("{\"type\":\"integer\",\"minimum\":" + std::to_string(low) +
                                  ",\"maximum\":" + std::to_string(high) + "}");
    for (int n = -1300; n <= 1300; ++n) EXPECT_EQ(accepts(grammar, std::to_string(n)), low <= n && n <= high) << n;
    expect_rejects(grammar, {"-0", "00", "01", "-01", "", "-", "1.0"});
  }
  const auto open = compiled(R"({"type":"integer","exclusiveMinimum":0})");
  expect_accepts(open, {"1", "999999999999999999"});
  expect_rejects(open, {"0", "-1", "1000000000000000000"});
  expect_accepts(compiled(R"({"type":"integer","maximum":9223372036854775807,"minimum":-9223372036854775808})"),
                 {"-5", "123"});
  expect_accepts(compiled(R"({"type":"integer","minimum":0.5,"maximum":1.5})"), {"1"});
  expect_rejects(compiled(R"({"type":"integer","minimum":0.5,"maximum":1.5})"), {"0", "2"});
}

TEST(Grammar, NumberBoundsAreExact) {
  const auto grammar = compiled(R"({"type":"number","minimum":-1.25,"exclusiveMaximum":10.5})");
  expect_accepts(grammar, {"-1.25", "-1.250", "-1", "-0.001", "0", "0.0", "9", "10", "10.4999999", "10.49"});
  expect_rejects(grammar, {"-1.2500001", "-2", "-1.26", "10.5", "10.50", "11", "1e1", "-0", "-0.0", "100"});
  expect_accepts(compiled(R"({"type":"number","minimum":1e-3})"), {"0.001", "5"});
  expect_rejects(compiled(R"({"type":"number","minimum":1e-3})"), {"0.0009", "0"});
}

TEST(Grammar, ValuesAreTakenAsTheyStand) {
  const auto grammar = compiled(R"({"enum":["red","re\"d",1,-1.5,null,true,[1,"a"],{"k":{}}]})");
  expect_accepts(grammar, {"\"red\"", R"("re\"d")", "1", "-1.5", "null", "true", R"([1,"a"])", R"({"k":{}})"});
  expect_rejects(grammar, {"\"re\"", "false", "1.0", "\"blue\""});
  expect_accepts(compiled(R"({"type":"string","enum":["a",1]})"), {"\"a\""});
  expect_rejects(compiled(R"({"type":"string","enum":["a",1]})"), {"1"});
  expect_accepts(compiled(R"({"const":"x"})"), {"\"x\""});
}

TEST(Grammar, ListsOfTypesAndKeywordsWithoutTypes) {
  expect_accepts(compiled(R"({"type":["string","null"],"maxLength":1})"), {"\"a\"", "null"});
  expect_accepts(compiled(R"({"type":["integer","array"],"minimum":3,"maxItems":1})"), {"3", "[\"x\"]"});
  expect_rejects(compiled(R"({"minLength":1})"), {"1", "\"\""});
  expect_accepts(compiled("true"), {"1", "{}"});
  expect_accepts(compiled("{}"), {"1", "{}"});
}

TEST(Grammar, AlternativesAndConjunctions) {
  const auto any =
      compiled(R"({"anyOf":[{"type":"integer"},{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},
    {"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}]})");
  expect_accepts(any, {"1", R"({"a":"x"})", R"({"a":1})"});
  expect_rejects(any, {R"({"a":null})", "{}"});
  const auto all = compiled(R"({"allOf":[{"$ref":"#/$defs/a"},{"properties":{"y":{"maximum":5}},"required":["y"]}],
    "$defs":{"a":{"type":"object","properties":{"x":{"type":"string"},"y":{"type":"integer","minimum":3}},"required":["x"]}}})");
  expect_accepts(all, {R"({"x":"","y":3})", R"({"x":"","y":5})"});
  expect_rejects(all, {R"({"x":""})", R"({"x":"","y":6})", R"({"x":"","y":2})"});
  const auto both = compiled(
      R"({"type":"object","properties":{"k":{"type":"integer"}},"anyOf":[{"required":["k"]},{"properties":{"z":{"const":1}},"required":["z"]}]})");
  expect_accepts(both, {R"({"k":1})", R"({"k":1,"z":1})", R"({"z":1})"});
  expect_rejects(both, {"{}"});
  expect_rejects(
      compiled(R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]})"),
      {R"({"b":1})"});
}

TEST(Grammar, RecursionIsUnbounded) {
  const auto tree = compiled(R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},
    "kids":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["v"]}}})");
  expect_accepts(tree, {R"({"v":1})", R"({"v":1,"kids":[{"v":2,"kids":[]},{"v":3,"kids":[{"v":4}]}]})"});
  expect_rejects(tree, {R"({"v":1,"kids":[{}]})"});
}

TEST(Grammar, AmbiguityDoesNotGrowWithDepth) {
  const auto grammar = compiled(R"({"$ref":"#/$defs/n","$defs":{"n":{"anyOf":[
    {"type":"object","properties":{"n":{"$ref":"#/$defs/n"}}},{"type":"object","properties":{"n":{"$ref":"#/$defs/n"},"x":{}}}]}}})");
  Matcher matcher(grammar);
  for (int level = 0; level < 30; ++level) ASSERT_TRUE(matcher.accept("{\"n\":"));
  EXPECT_LE(matcher.configs().size(), 8U);
  EXPECT_LE(matcher.pushdown().arena_size(), 1000U);
}

TEST(Grammar, Patterns) {
  const auto code = compiled(R"({"type":"string","pattern":"^[A-Z]{2}-\\d+$"})");
  expect_accepts(code, {"\"AB-1\"", "\"ZZ-000\""});
  expect_rejects(code, {"\"A-1\"", "\"AB-\"", "\"AB-1x\""});
  expect_accepts(compiled(R"({"pattern":"b"})"), {"\"abc\"", "\"b\"", R"("\"b")"});
  expect_rejects(compiled(R"({"pattern":"b"})"), {"\"ac\""});
  expect_accepts(compiled(R"({"pattern":"^(?:a|bc)*?x?$"})"), {"\"\"", "\"abcx\""});
  expect_accepts(compiled(R"({"pattern":"^[^a-c\\]]$"})"), {"\"\xE6\x9C\x88\"", "\"d\"", R"("\"")"});
  expect_rejects(compiled(R"({"pattern":"^[^a-c\\]]$"})"), {"\"b\"", "\"]\"", "\"\""});
  expect_accepts(compiled(R"({"pattern":"^.$","maxLength":3})"), {"\"\xF0\x9F\x8C\x99\"", "\" \""});
  expect_rejects(compiled(R"({"pattern":"^.$"})"), {R"("\n")"});
  expect_accepts(compiled(R"({"pattern":"^a+$","minLength":2,"maxLength":4})"), {"\"aa\"", "\"aaaa\""});
  expect_rejects(compiled(R"({"pattern":"^a+$","minLength":2,"maxLength":4})"), {"\"a\"", "\"aaaaa\""});
  expect_accepts(compiled(R"({"pattern":"^a|b$"})"), {"\"axx\"", "\"xxb\""});
  expect_accepts(compiled("{\"pattern\":\"^[\xE4\xB8\x80-\xE9\xBE\xA5]{1,2}$\"}"), {"\"\xE6\x9C\x88\""});
  expect_accepts(compiled(R"({"pattern":"^\\u6708\\x41\\s\\S\\W$"})"), {"\"\xE6\x9C\x88"
                                                                        "A x-\""});
}

TEST(Grammar, Formats) {
  expect_accepts(compiled(R"({"format":"date"})"), {"\"2024-02-29\"", "\"1999-12-31\"", "\"2000-02-29\""});
  expect_rejects(compiled(R"({"format":"date"})"),
                 {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-04-31\"", "\"2024-13-01\"", "\"24-01-01\""});
  expect_accepts(compiled(R"({"format":"date-time"})"),
                 {"\"2024-05-06T23:59:59Z\"", "\"2024-05-06T00:00:00.123+08:00\""});
  expect_rejects(compiled(R"({"format":"date-time"})"),
                 {"\"2024-05-06T24:00:00Z\"", "\"2024-05-06 00:00:00Z\"", "\"2024-05-06T00:00:00\""});
  expect_accepts(compiled(R"({"format":"time"})"), {"\"12:30:00Z\""});
  expect_accepts(compiled(R"({"format":"uuid"})"), {"\"123e4567-e89b-12d3-a456-426614174000\""});
  expect_rejects(compiled(R"({"format":"uuid"})"), {"\"123e4567-e89b-12d3-a456-42661417400\""});
  expect_accepts(compiled(R"({"format":"email"})"), {"\"li.bai@tang.example\""});
  expect_rejects(compiled(R"({"format":"email"})"), {"\"li bai@tang\"", "\"@a.cn\""});
  expect_accepts(compiled(R"({"format":"ipv4"})"), {"\"0.0.0.0\"", "\"255.249.100.9\""});
  expect_rejects(compiled(R"({"format":"ipv4"})"), {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""});
  expect_accepts(compiled(R"({"format":"duration"})"), {"\"P3Y6M4DT12H30M5S\"", "\"PT36H\"", "\"P2W\""});
  expect_rejects(compiled(R"({"format":"duration"})"), {"\"P\"", "\"PT\"", "\"P1YT\""});
  expect_accepts(compiled(R"({"format":"hostname"})"), {"\"a-b.example\""});
}

TEST(Grammar, RefusesWhatItCannotKeepAndNamesThePlace) {
  struct Case {
    std::string_view schema, reason, field;
  };
  for (const Case& one : {
           Case{"{", "invalid_json", ""},
           {R"({"type":"object","properties":{"a":{"not":{}}}})", "schema_unsupported", "/properties/a/not"},
           {R"({"patternProperties":{}})", "schema_unsupported", "/patternProperties"},
           {R"({"items":{"if":{}}})", "schema_unsupported", "/items/if"},
           {R"({"properties":{"a/b~":{"wat":1}}})", "schema_unsupported", "/properties/a~1b~0/wat"},
           {R"({"multipleOf":3})", "schema_unsupported", "/multipleOf"},
           {R"({"uniqueItems":true})", "schema_unsupported", "/uniqueItems"},
           {R"({"items":[{}]})", "schema_unsupported", "/items"},
           {R"({"format":"iri"})", "schema_unsupported", "/format"},
           {R"({"enum":["a"],"minLength":3})", "schema_unsupported", "/enum"},
           {R"({"type":"strin"})", "schema_invalid", "/type"},
           {R"({"type":[]})", "schema_invalid", "/type"},
           {R"({"enum":[]})", "schema_invalid", "/enum"},
           {R"({"required":"a"})", "schema_invalid", "/required"},
           {R"({"minItems":-1})", "schema_invalid", "/minItems"},
           {R"({"properties":{"a":3}})", "schema_invalid", "/properties/a"},
           {R"({"anyOf":[]})", "schema_invalid", "/anyOf"},
           {R"({"$ref":"#/$defs/x"})", "schema_reference", "/$ref"},
           {R"({"$ref":"http://x/y"})", "schema_unsupported", "/$ref"},
           {R"({"$ref":"#"})", "schema_recursion", ""},
           {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "schema_recursion", ""},
           {"false", "schema_unsatisfiable", ""},
           {R"({"type":"string","minLength":3,"maxLength":2})", "schema_unsatisfiable", ""},
           {R"({"type":"integer","minimum":3,"maximum":2})", "schema_unsatisfiable", ""},
           {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", "schema_unsatisfiable", ""},
           {R"({"type":"array","minItems":1,"items":{"$ref":"#"}})", "schema_unsatisfiable", ""},
           {R"({"pattern":"^a{3}$","minLength":5})", "schema_unsatisfiable", ""},
           {R"({"pattern":"(a"})", "pattern_invalid", "/pattern"},
           {R"({"pattern":"a**"})", "pattern_invalid", "/pattern"},
           {R"x({"pattern":"(?=a)"})x", "pattern_unsupported", "/pattern"},
           {R"({"pattern":"(a)\\1"})", "pattern_unsupported", "/pattern"},
           {R"({"pattern":"\\bword"})", "pattern_unsupported", "/pattern"},
           {R"({"pattern":"a$b"})", "pattern_unsupported", "/pattern"},
           {R"({"pattern":"(((a{1,99}){1,99}){1,99}){1,99}"})", "pattern_too_complex", "/pattern"},
           {R"({"pattern":"(a|b)*a(a|b){20}"})", "pattern_too_complex", "/pattern"},
       }) {
    const auto grammar = Grammar::from_json_schema(one.schema);
    ASSERT_FALSE(grammar) << one.schema;
    EXPECT_EQ(grammar.error().reason, one.reason) << one.schema << "\n" << grammar.error().to_string();
    EXPECT_EQ(grammar.error().field, one.field) << one.schema << "\n" << grammar.error().to_string();
    EXPECT_EQ(grammar.error().code, Code::kInvalidArgument);
  }
}

TEST(Grammar, ASchemaCannotBlowUp) {
  EXPECT_EQ(Grammar::from_json_schema(std::string(70'000, ' ')).error().reason, "schema_too_large");
  // Each definition mentions the next one twice: expanded, 2^60 objects.
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int n = 0; n < 60; ++n) {
    const std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(n + 1) + "\"}";
    doubling += "\"d" + std::to_string(n) + "\":{\"type\":\"array\",\"prefixItems\":[" + next + "," + next + "]},";
  }
  doubling += R"("d60":{"type":"null"}}})";
  const auto grammar = compiled(doubling, {.nesting_max = 100});
  ASSERT_NE(grammar, nullptr);
  EXPECT_LT(grammar->automaton().nodes.size(), 3000U);
  // A thousand optional properties are quadratic in transitions: refused or compiled, but not for ever.
  std::string wide = R"({"type":"object","properties":{)";
  for (int n = 0; n < 2000; ++n) wide += (n > 0 ? ",\"p" : "\"p") + std::to_string(n) + "\":{}";
  const auto refused = Grammar::from_json_schema(wide + "}}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "schema_too_complex");
  // Alternatives that multiply.
  std::string product = R"({"type":"object","allOf":[)";
  for (int n = 0; n < 20; ++n)
    product += std::string(n > 0 ? "," : "") + R"({"anyOf":[{"required":["a"]},{"required":["b"]}]})";
  EXPECT_EQ(Grammar::from_json_schema(product + "]}").error().reason, "schema_too_complex");
  EXPECT_EQ(Grammar::from_json_schema(std::string(100, '[') + std::string(100, ']')).error().reason, "invalid_json");
}

TEST(Grammar, ToolCallsObeyTheFramingAndEachToolsSchema) {
  const std::vector<ToolSignature> tools = {
      {"weather", R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})"}, {"now", ""}};
  const auto grammar = Grammar::from_tool_calls(tools, ToolMode::kRequired, ToolFraming::deepseek_v31(), 2);
  ASSERT_TRUE(grammar) << grammar.error().to_string();
  Matcher matcher(*grammar);
  const auto control = [&](std::string_view text) { return matcher.accept(text, TokenKind::kControl); };
  EXPECT_FALSE(matcher.can_end());
  EXPECT_FALSE(matcher.accept("x"));
  EXPECT_FALSE(matcher.accept("<｜tool▁calls▁begin｜>")) << "spelled out in text";
  EXPECT_FALSE(matcher.accept("\xFF<｜tool▁calls▁begin｜>")) << "text that pretends";
  EXPECT_TRUE(control("<｜tool▁calls▁begin｜>"));
  EXPECT_TRUE(control("<｜tool▁call▁begin｜>"));
  EXPECT_FALSE(matcher.accept("wether"));
  EXPECT_TRUE(matcher.accept("wea"));
  EXPECT_TRUE(matcher.accept("ther"));
  EXPECT_TRUE(control("<｜tool▁sep｜>"));
  EXPECT_FALSE(matcher.accept("{}"));
  EXPECT_TRUE(matcher.accept(R"({"city": "x"})"));
  EXPECT_FALSE(matcher.can_end());
  EXPECT_TRUE(control("<｜tool▁call▁end｜>"));
  EXPECT_TRUE(control("<｜tool▁call▁begin｜>"));
  EXPECT_TRUE(matcher.accept("now"));
  EXPECT_TRUE(control("<｜tool▁sep｜>"));
  EXPECT_TRUE(matcher.accept("{\"any\":1}"));
  EXPECT_TRUE(control("<｜tool▁call▁end｜>"));
  EXPECT_FALSE(control("<｜tool▁call▁begin｜>")) << "a third call";
  EXPECT_TRUE(control("<｜tool▁calls▁end｜>"));
  EXPECT_TRUE(matcher.is_complete());
}

TEST(Grammar, ToolCallsMayFollowTextWhereTheyNeedNot) {
  const std::vector<ToolSignature> tools = {{"now", ""}};
  const auto grammar = Grammar::from_tool_calls(tools, ToolMode::kAuto, ToolFraming::deepseek_v3(), 1);
  ASSERT_TRUE(grammar) << grammar.error().to_string();
  Matcher matcher(*grammar);
  EXPECT_TRUE(matcher.can_end());
  EXPECT_TRUE(matcher.accept("Let me see. {[\""));
  EXPECT_TRUE(matcher.can_end());
  EXPECT_FALSE(matcher.is_complete());
  EXPECT_TRUE(matcher.accept("<｜tool▁calls▁begin｜>", TokenKind::kControl));
  EXPECT_FALSE(matcher.can_end());
  EXPECT_TRUE(matcher.accept("<｜tool▁call▁begin｜>", TokenKind::kControl));
  EXPECT_TRUE(matcher.accept("function"));
  EXPECT_TRUE(matcher.accept("<｜tool▁sep｜>", TokenKind::kControl));
  EXPECT_TRUE(matcher.accept("now\n```json\n{}\n```"));
  EXPECT_TRUE(matcher.accept("<｜tool▁call▁end｜>", TokenKind::kControl));
  EXPECT_TRUE(matcher.accept("<｜tool▁calls▁end｜>", TokenKind::kControl));
  EXPECT_TRUE(matcher.is_complete());
}

TEST(Grammar, ToolErrorsNameTheTool) {
  const std::vector<ToolSignature> bad = {{"a", ""}, {"b", R"({"properties":{"x":{"not":{}}}})"}};
  const auto grammar = Grammar::from_tool_calls(bad, ToolMode::kRequired, ToolFraming::deepseek_v3(), 1);
  ASSERT_FALSE(grammar);
  EXPECT_EQ(grammar.error().field, "tools[1].parameters/properties/x/not");
  const std::vector<ToolSignature> twice = {{"a", ""}, {"a", ""}};
  EXPECT_EQ(Grammar::from_tool_calls(twice, ToolMode::kRequired, ToolFraming::deepseek_v3(), 1).error().field,
            "tools[1].name");
}

TEST(Grammar, EqualSchemasHaveEqualKeys) {
  EXPECT_EQ(compiled("{}")->key(), compiled("{}")->key());
  EXPECT_NE(compiled("{}")->key(), compiled("true")->key());
  EXPECT_NE(Grammar::json_object()->key(), Grammar::json_value()->key());
}

}  // namespace
}  // namespace tidegate::worker::grammar
