#include "base/json/json_dump.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::json {
namespace {

std::string dumped(const std::string& text, Spacing spacing = Spacing::kNone) {
  const auto parsed = parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? dump(*parsed, spacing) : std::string();
}

TEST(JsonDump, KeepsTheOrderOfMembersAndWritesNoBlanks) {
  EXPECT_EQ(dumped(R"( { "b" : [ 1 , true , null ] , "a" : { } } )"), R"({"b":[1,true,null],"a":{}})");
}

TEST(JsonDump, SpacesAsPythonDoes) {
  EXPECT_EQ(dumped(R"({"b":[1,2,{"c":"d"}],"a":[]})", Spacing::kSpace), R"({"b": [1, 2, {"c": "d"}], "a": []})");
}

TEST(JsonDump, NumbersAreAsShortAsTheyReadBack) {
  EXPECT_EQ(dumped("[0.5,2.0,-3,1e300,18446744073709551615]"), "[0.5,2.0,-3,1e+300,18446744073709551615]");
}

TEST(JsonDump, NumbersBeyondTheRangeStayNumbers) {
  const std::string once = dumped("[1e999,-1e999,0e999]");
  EXPECT_EQ(once, "[1e999,-1e999,0.0]");
  EXPECT_EQ(dumped(once), once);
}

TEST(JsonDump, TextBeyondAsciiStaysAndControlsAreEscaped) {
  EXPECT_EQ(dumped(R"(["\u6708\u0001\n\"\\"])"), "[\"月\\u0001\\n\\\"\\\\\"]");
}

TEST(JsonDump, ReadsBackAsWhatItWas) {
  const std::string text = R"({"type":"object","properties":{"x":{"type":"number","minimum":-0.25,"enum":["a/b","\t"]}}})";
  EXPECT_EQ(parse(dumped(text)).value(), parse(text).value());
  EXPECT_EQ(parse(dumped(text, Spacing::kSpace)).value(), parse(text).value());
}

}  // namespace
}  // namespace tidegate::json
