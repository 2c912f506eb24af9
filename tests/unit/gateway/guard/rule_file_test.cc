#include "gateway/guard/rule_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kWindow = 512;

std::string file_of(const std::string& rules) { return R"({"rules":[)" + rules + "]}"; }

std::string problem(const std::string& rules) {
  const auto book = parse_rules(file_of(rules), kWindow);
  if (book) return "accepted";
  EXPECT_EQ(book.error().reason, "bad_rules");
  return book.error().message;
}

/// The problem names all of these.
void expect_problem(const std::string& rules, std::initializer_list<const char*> words) {
  const std::string said = problem(rules);
  for (const char* word : words) EXPECT_NE(said.find(word), std::string::npos) << word << " in: " << said;
}

TEST(RuleFile, ReadsEveryField) {
  const auto book = parse_rules(
      file_of(R"({"name":"no-keys","direction":"both","pii":"api_key","action":"deny","message":"No keys, please.",)"
              R"("models":["tang-moe"],"tenants":["acme"]},)"
              R"({"name":"names","direction":"output","pattern":"Li Wei","action":"mask"})"),
      kWindow);
  ASSERT_TRUE(book) << book.error().to_string();
  ASSERT_EQ(book->rules().size(), 2U);
  const GuardRule& first = book->rules()[0];
  EXPECT_EQ(first.name, "no-keys");
  EXPECT_TRUE(first.is_for_input && first.is_for_output);
  EXPECT_EQ(first.pii->name, "api_key");
  EXPECT_EQ(first.action, GuardAction::kDeny);
  EXPECT_EQ(first.message, "No keys, please.");
  EXPECT_EQ(first.models, (std::vector<std::string>{"tang-moe"}));
  EXPECT_EQ(first.tenants, (std::vector<std::string>{"acme"}));
  EXPECT_FALSE(book->rules()[1].is_for_input);
}

TEST(RuleFile, AMistakeIsNamedByRuleFieldAndFix) {
  expect_problem(R"({"direction":"input","pattern":"a","action":"log"})", {"rules[0]", "name"});
  expect_problem(R"({"name":"A b","direction":"input","pattern":"a","action":"log"})", {"name", "a-z"});
  expect_problem(R"({"name":"r","direction":"in","pattern":"a","action":"log"})", {"'r'", "direction", "both"});
  expect_problem(R"({"name":"r","direction":"input","action":"log"})", {"'r'", "pattern", "pii"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a","pii":"email","action":"log"})", {"not both"});
  expect_problem(R"({"name":"r","direction":"input","pii":"e-mail","action":"log"})", {"pii", "e-mail", "cn_id"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a","action":"block"})", {"action", "deny, mask or log"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a(","action":"log"})", {"'r'", "pattern", "RE2"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a","action":"mask","message":"x"})", {"message", "denies"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a","action":"log","model":["x"]})", {"model", "models"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a","action":"log","models":[]})", {"models", "leave it out"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a","action":"log","tenants":["a","!b"]})", {"tenants", "!"});
  expect_problem(R"({"name":"r","direction":"input","pattern":"a","action":"log"},)"
                 R"({"name":"r","direction":"input","pattern":"b","action":"log"})",
                 {"rules[1]", "unique"});
  expect_problem("", {"1 to 128"});
  EXPECT_FALSE(parse_rules("[]", kWindow));
  EXPECT_FALSE(parse_rules("{", kWindow));
}

TEST(RuleFile, WhatStreamsIsBounded) {
  expect_problem(R"({"name":"r","direction":"output","pattern":"key: .*","action":"mask"})",
                 {"'r'", "without end", "guard.window_bytes", "512"});
  expect_problem(R"({"name":"r","direction":"both","pattern":"k.{200}","action":"mask"})", {"801 bytes"});
  expect_problem(R"({"name":"r","direction":"output","pattern":"^x","action":"mask"})", {"'r'", "\\b"});
  EXPECT_EQ(problem(R"({"name":"r","direction":"input","pattern":"^key: .*$","action":"mask"})"), "accepted");
}

TEST(RuleFile, OfAFileTheProblemBeginsWithItsPath) {
  const tidegate::test::TempDir folder;
  const std::string path = folder.file("rules.json");
  EXPECT_EQ(load_rules(path, kWindow).error().reason, "file_unreadable");
  std::ofstream(path) << file_of(R"({"name":"r","direction":"input","pattern":"a","action":"mask"})");
  EXPECT_TRUE(load_rules(path, kWindow));
  std::ofstream(path) << "{}";
  const auto refused = load_rules(path, kWindow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find(path), 0U);
}

TEST(RuleFile, TheExampleOfTheDocumentationIsOne) {
  const auto book = load_rules(std::string(TG_SOURCE_DIR) + "/docs/guard_rules.example.json", kWindow);
  EXPECT_TRUE(book) << book.error().to_string();
}

}  // namespace
}  // namespace tidegate::gateway
