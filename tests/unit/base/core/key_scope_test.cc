#include "base/core/key_scope.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

TEST(KeyScope, NamesComeBack) {
  for (const char* name : {"chat", "completions", "embeddings", "models", "receipts", "usage"}) {
    const auto scope = parse_key_scope(name);
    ASSERT_TRUE(scope) << name;
    EXPECT_EQ(key_scope_name(*scope), name);
  }
  for (const char* name : {"", "Chat", "chat ", "all", "*"}) EXPECT_FALSE(parse_key_scope(name)) << name;
}

TEST(KeyScopes, TheDefaultIsInferenceAndNoMore) {
  const KeyScopes scopes = KeyScopes::inference();
  EXPECT_TRUE(scopes.has(KeyScope::kChat));
  EXPECT_TRUE(scopes.has(KeyScope::kEmbeddings));
  EXPECT_FALSE(scopes.has(KeyScope::kUsage));
  EXPECT_EQ(scopes.names(), "chat, completions, embeddings, models, receipts");
}

TEST(KeyScopes, ASetHoldsWhatWasAdded) {
  KeyScopes scopes;
  EXPECT_EQ(scopes.names(), "");
  scopes.add(KeyScope::kUsage);
  scopes.add(KeyScope::kModels);
  EXPECT_FALSE(scopes.has(KeyScope::kChat));
  EXPECT_EQ(scopes.names(), "models, usage");
}

}  // namespace
}  // namespace tidegate
