#include "scheduler/drivers/kubernetes/api/yaml_subset.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler::kube {
namespace {

std::string read(std::string_view text) {
  const auto parsed = parse_yaml_subset(text);
  return parsed ? json::serialize(*parsed) : parsed.error().message;
}

TEST(YamlSubset, ReadsWhatToolsWrite) {
  EXPECT_EQ(
      read("a: 1\nb:\n  c: x y\n  d: \"q # \\\"r\\\"\" # comment\nlist:\n- name: n\n  of: 'it''s'\n- plain\nempty: "
           "{}\nnone:\n"),
      R"({"a":"1","b":{"c":"x y","d":"q # \"r\""},"list":[{"name":"n","of":"it's"},"plain"],"empty":{},"none":null})");
  EXPECT_EQ(read("---\n# only a comment\nlist:\n  - a\n  -\n    b: c\n"), R"({"list":["a",{"b":"c"}]})");
  EXPECT_EQ(read("- context:\n    cluster: c\n  name: n\n"), R"([{"context":{"cluster":"c"},"name":"n"}])");
  EXPECT_EQ(read("server: https://127.0.0.1:6443\n"), R"({"server":"https://127.0.0.1:6443"})");
  EXPECT_EQ(read("{\"a\": [1]}"), R"({"a":[1]})");
  EXPECT_EQ(read(""), "null");
  EXPECT_EQ(read("a: b\r\n"), R"({"a":"b"})");
}

TEST(YamlSubset, SiblingItemsWithoutContentAreNotNested) { EXPECT_EQ(read("-\n- a\n"), R"([null,"a"])"); }

TEST(YamlSubset, RefusesWhatCouldBeMisread) {
  EXPECT_EQ(read("\ta: b"), "line 1: a tab: indent with blanks");
  EXPECT_EQ(read("a: &x b"), "line 1: anchors, aliases and tags are not read");
  EXPECT_EQ(read("a: |\n  b"), "line 1: texts over several lines are not read");
  EXPECT_EQ(read("a: {b: c}"), "line 1: collections in braces are not read; write one member a line");
  EXPECT_EQ(read("a: b\na: c"), "line 2: 'a' is there twice");
  EXPECT_EQ(read("a: b\n---\nc: d"), "line 2: one document only");
  EXPECT_EQ(read("a: \"b"), "line 1: a quote is not closed on its line");
  EXPECT_EQ(read("a: b\n  c: d"), "line 2: is indented too far, or goes on a line before");
  EXPECT_EQ(read("  a: b\nc: d"), "line 2: is indented less than what it belongs to");
  EXPECT_EQ(read("just words"), "line 1: is neither 'key: value' nor '- item'");
}

TEST(YamlSubset, HasLimits) {
  EXPECT_EQ(read(std::string((1 << 20) + 1, ' ')), "the file is longer than 1 MiB");
  std::string deep;
  for (std::size_t i = 0; i < 20; ++i) deep += std::string(i, ' ') + "a:\n";
  EXPECT_NE(read(deep).find("nested deeper"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::scheduler::kube
