#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "worker/engine/grammar/grammar.h"
#include "worker/engine/grammar/matcher.h"

namespace tidegate::worker::grammar {

inline Grammar::Pointer compiled(std::string_view schema, const GrammarLimits& limits = {}) {
  auto grammar = Grammar::from_json_schema(schema, limits);
  EXPECT_TRUE(grammar) << schema << "\n" << (grammar ? "" : grammar.error().to_string());
  return grammar ? *grammar : nullptr;
}

/// How far a text gets, and whether it is a whole sentence. Every byte is a token of its own.
struct Verdict {
  std::size_t accepted = 0;
  bool whole = false;
};

inline Verdict judge(const Grammar::Pointer& grammar, std::string_view text) {
  Verdict verdict;
  Matcher matcher(grammar);
  for (const char byte : text) {
    if (!matcher.accept(std::string_view(&byte, 1))) return verdict;
    ++verdict.accepted;
  }
  verdict.whole = matcher.can_end();
  return verdict;
}

inline bool accepts(const Grammar::Pointer& grammar, std::string_view text) { return judge(grammar, text).whole; }

inline void expect_accepts(const Grammar::Pointer& grammar, std::initializer_list<std::string_view> texts) {
  ASSERT_NE(grammar, nullptr);
  for (const std::string_view text : texts) {
    EXPECT_TRUE(accepts(grammar, text)) << text << " stopped at byte " << judge(grammar, text).accepted;
  }
}
inline void expect_rejects(const Grammar::Pointer& grammar, std::initializer_list<std::string_view> texts) {
  ASSERT_NE(grammar, nullptr);
  for (const std::string_view text : texts) EXPECT_FALSE(accepts(grammar, text)) << text;
}

}  // namespace tidegate::worker::grammar
