#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/core/random.h"
#include "base/json/json.h"
#include "worker/engine/grammar/vocabulary.h"

namespace tidegate::worker::grammar {

/// Every byte, and what real vocabularies are full of: words, digits, characters of several bytes whole and cut, runs
/// of spaces, and the pieces of JSON that tokenizers join.
inline const std::vector<std::string>& test_tokens() {
  static const std::vector<std::string> kTokens = [] {
    std::set<std::string> some;
    for (const char* piece : {"{\"",
                              "\":",
                              "\": ",
                              "\":\"",
                              "\": \"",
                              "\",",
                              "\", ",
                              "\",\"",
                              "\", \"",
                              "\"}",
                              "\"},",
                              "\"}]",
                              "}}",
                              "]}",
                              "}]",
                              "}]}",
                              "[]",
                              "{}",
                              "[[",
                              "[{\"",
                              "{\"a",
                              "{\"a\":",
                              "null",
                              "true",
                              "false",
                              "tru",
                              "ull",
                              "\\n",
                              "\\\"",
                              "\\u",
                              "\\ud83c",
                              "\\u00",
                              "00",
                              "u0",
                              ".5",
                              "-1",
                              "e+",
                              "E1",
                              "  ",
                              "   ",
                              "                                ",
                              "\n",
                              "\r\n",
                              "\xE6\x9C\x88",
                              "\xE6\x9C",
                              "\x9C\x88",
                              "\xE6\x9C\x88\xE5\x85\x89",
                              "\xE6\x9C\x88\"",
                              "\xF0\x9F\x8C\x99",
                              "\xF0\x9F",
                              "\x8C\x99",
                              "\xF0\x9F\x8C",
                              "\x99\"}",
                              "\x88\",\"",
                              "a\"",
                              "ab",
                              "abc",
                              "ab\"",
                              "c\":",
                              "red",
                              "red\"",
                              "\"red\"",
                              "AB-",
                              "-9",
                              "2024-",
                              "-02-29",
                              "both",
                              "\"both\":",
                              "p8",
                              "p9\":",
                              "1]",
                              "1,2",
                              "2}",
                              "1}]",
                              ",1",
                              ", 1",
                              ",\"",
                              ", \"",
                              ",{",
                              "],[",
                              "\"\"",
                              "\"\",",
                              "x\\",
                              "\\\\",
                              "\\t\"",
                              "\xC3\xA9",
                              "\xC3"}) {
      some.insert(piece);
    }
    for (int n = 0; n < 1000; ++n) some.insert(std::to_string(n));
    Rng rng(7);
    for (int n = 0; n < 600; ++n) {
      std::string word = rng.below(2) == 0 ? " " : "";
      for (std::uint64_t length = 2 + rng.below(6); length > 0; --length)
        word += static_cast<char>('a' + rng.below(26));
      some.insert(word);
    }
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte) {
      tokens.emplace_back(1, static_cast<char>(byte));
      some.erase(tokens.back());
    }
    tokens.insert(tokens.end(), some.begin(), some.end());
    return tokens;
  }();
  return kTokens;
}

inline const std::string& test_token(std::int32_t id) { return test_tokens()[static_cast<std::size_t>(id)]; }

inline std::shared_ptr<const Vocabulary> test_vocabulary_pointer() {
  static const std::shared_ptr<const Vocabulary> kVocabulary = [] {
    std::vector<Vocabulary::Token> tokens;
    for (std::size_t id = 0; id < test_tokens().size(); ++id)
      tokens.push_back({static_cast<std::int32_t>(id), test_tokens()[id]});
    return std::make_shared<const Vocabulary>(tokens, static_cast<std::int32_t>(tokens.size()));
  }();
  return kVocabulary;
}
inline const Vocabulary& test_vocabulary() { return *test_vocabulary_pointer(); }

/// The value with every fraction that has no fraction as an integer.
inline json::value whole_numbers(const json::value& value) {
  if (value.is_double()) {
    const double number = value.get_double();
    const auto whole = static_cast<std::int64_t>(number);
    return static_cast<double>(whole) == number ? json::value(whole) : value;
  }
  if (value.is_array()) {
    json::array out;
    for (const json::value& one : value.get_array()) out.push_back(whole_numbers(one));
    return out;
  }
  if (!value.is_object()) return value;
  json::object out;
  for (const auto& member : value.get_object()) out.emplace(member.key(), whole_numbers(member.value()));
  return out;
}

}  // namespace tidegate::worker::grammar
