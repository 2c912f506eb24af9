#include "gateway/schema/json_schema.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "base/core/encoding.h"
#include "gateway/core/plan_tools.h"

namespace tidegate::gateway {
namespace {

Result<std::string> strict(const std::string& text) { return read_schema_text(text, "s", true); }

/// An object schema with one property `x` of this schema, strict in everything else.
std::string with_x(const std::string& schema) {
  return R"({"type":"object","properties":{"x":)" + schema + R"(},"required":["x"],"additionalProperties":false})";
}

TEST(JsonSchema, StrictTakesEveryWordOfTheSubset) {
  const char* good[] = {
      R"({"type":["string","null"],"minLength":1,"maxLength":9,"pattern":"^a+$","format":"uuid"})",
      R"({"type":"integer","minimum":1,"maximum":9,"exclusiveMinimum":0,"exclusiveMaximum":10,"multipleOf":2})",
      R"({"type":"array","items":{"enum":["a",1,null]},"minItems":0,"maxItems":3})",
      R"({"anyOf":[{"const":5},{"type":"boolean","title":"t","description":"d","default":true}]})",
      R"({"$ref":"#"})",
  };
  for (const char* schema : good) {
    const auto read = strict(with_x(schema));
    EXPECT_TRUE(read) << schema << ' ' << (read ? "" : read.error().to_string());
  }
  EXPECT_TRUE(strict(R"({"$defs":{"n":{"type":"null"}},"anyOf":[{"$ref":"#/$defs/n"}]})"));
  EXPECT_TRUE(strict(R"({"$def":{"n":{"type":"null"}},"anyOf":[{"$ref":"#/$def/n"}]})")) << "as DeepSeek writes it";
}

TEST(JsonSchema, RequiredNamesStandInAnyOrderAndMayRepeat) {
  const auto twice =
      strict(R"({"type":"object","properties":{"a":{},"b":{}},"required":["b","a","b"],"additionalProperties":false})");
  EXPECT_TRUE(twice);
  const auto read =
      strict(R"({"type":"object","properties":{"a":{},"b":{}},"required":["b","b"],"additionalProperties":false})");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("'a' is missing"), std::string::npos);
}

TEST(JsonSchema, WhatAStrictSchemaCannotPromiseIsRefusedByName) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {R"({"oneOf":[{"type":"null"}]})", "s.properties.x.oneOf", "unsupported_schema"},
      {R"({"type":"string","contentEncoding":"base64"})", "s.properties.x.contentEncoding", "unsupported_schema"},
      {R"({"type":"string","format":"color"})", "s.properties.x.format", "unsupported_schema"},
      {R"({"type":"text"})", "s.properties.x.type", "invalid_value"},
      {R"({"type":[]})", "s.properties.x.type", "invalid_value"},
      {R"({"enum":[]})", "s.properties.x.enum", "invalid_value"},
      {R"({"type":"string","minLength":-1})", "s.properties.x.minLength", "invalid_value"},
      {R"({"type":"number","minimum":"1"})", "s.properties.x.minimum", "wrong_type"},
      {R"({"type":"number","multipleOf":0})", "s.properties.x.multipleOf", "invalid_value"},
      {R"({"$ref":"https://example.com/x"})", "s.properties.x.$ref", "invalid_value"},
      {R"({"$ref":"#/$defs/none"})", "s.properties.x.$ref", "invalid_value"},
      {R"({"type":"array","items":[{"type":"null"}]})", "s.properties.x.items", "wrong_type"},
      {"true", "s.properties.x", "wrong_type"},
      {R"({"type":"object"})", "s.properties.x.additionalProperties", "invalid_value"},
      {R"({"type":"object","additionalProperties":true})", "s.properties.x.additionalProperties", "invalid_value"},
      {R"({"type":"object","properties":{"y":{}},"additionalProperties":false})", "s.properties.x.required", "invalid_value"},
      {R"({"type":"object","required":["y"],"additionalProperties":false})", "s.properties.x.required", "invalid_value"},
  };
  for (const auto& [schema, field, reason] : cases) {
    const auto read = strict(with_x(schema));
    ASSERT_FALSE(read) << schema;
    EXPECT_EQ(read.error().field, field) << schema;
    EXPECT_EQ(read.error().reason, reason) << schema;
    EXPECT_NE(read.error().message.find(field), std::string::npos);
  }
}

TEST(JsonSchema, WithoutStrictAnyObjectOfBoundedSizeWillDo) {
  EXPECT_EQ(read_schema_text(R"({ "oneOf" : [ 5 ] })", "s", false).value(), R"({"oneOf":[5]})");
  EXPECT_EQ(read_schema_text("[]", "s", false).error().reason, "wrong_type");
  EXPECT_EQ(read_schema_text("{", "s", false).error().reason, "invalid_json");
  const std::string long_text(static_cast<std::size_t>(ToolLimits::kSchemaBytesMax), 'x');
  const auto large = read_schema_text(R"({"description":")" + long_text + R"("})", "s", false);
  EXPECT_EQ(large.error().reason, "request_too_large");
}

TEST(JsonSchema, StrictDepthAndSizeAreBounded) {
  std::string deep = R"({"type":"null"})";
  for (int i = 0; i < SchemaLimits::kDepthMax; ++i) deep = R"({"type":"array","items":)" + deep + "}";
  EXPECT_NE(strict(deep).error().message.find("deeper"), std::string::npos);
  std::string values = "1";
  for (int i = 0; i < SchemaLimits::kEnumValuesMax; ++i) values += ",1";
  EXPECT_EQ(strict(R"({"enum":[)" + values + "]}").error().field, "s.enum");
}

TEST(JsonSchema, RefusalsQuoteWholeCharacters) {
  std::string name;
  for (int i = 0; i < 40; ++i) name += "\xe6\xb5\xb7";
  const std::string quoted = '"' + name + '"';
  const std::string schemas[] = {
      "{" + quoted + ":1}",
      R"({"properties":{},"required":[)" + quoted + R"(],"additionalProperties":false})",
      R"({"properties":{)" + quoted + R"(:{}},"required":[],"additionalProperties":false})",
  };
  for (const std::string& schema : schemas) {
    const auto read = strict(schema);
    ASSERT_FALSE(read) << schema;
    EXPECT_NE(read.error().message.find("\xe6\xb5\xb7'"), std::string::npos) << read.error().message;
    EXPECT_TRUE(is_valid_utf8(read.error().message));
    EXPECT_TRUE(is_valid_utf8(read.error().field));
  }
}

TEST(JsonSchema, ParametersAreAnObject) {
  EXPECT_EQ(read_parameters_text("", "p", true).value(), "");
  EXPECT_TRUE(read_parameters_text("{}", "p", false));
  EXPECT_EQ(read_parameters_text("{}", "p", true).error().field, "p.type");
  EXPECT_EQ(read_parameters_text(R"({"type":"array"})", "p", false).error().field, "p.type");
}

}  // namespace
}  // namespace tidegate::gateway
