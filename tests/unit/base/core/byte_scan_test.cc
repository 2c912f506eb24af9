#include "base/core/byte_scan.h"

#include <gtest/gtest.h>

#include <string>

#include "base/core/encoding.h"
#include "base/core/json_text.h"
#include "base/core/log.h"

namespace tidegate::byte_scan_test {
namespace {

constexpr std::size_t kLengthMost = 34;  // several words, and every remainder

/// Every text of `length` plain characters with one `byte` in it.
template <typename Check>
void with_byte_anywhere(int byte, Check check) {
  for (std::size_t length = 1; length <= kLengthMost; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      std::string text(length, 'a');
      text[at] = static_cast<char>(byte);
      check(text);
    }
  }
}

std::string json_of(const std::string& text) {
  std::string out;
  append_json_text(out, text);
  return out;
}

TEST(ByteScan, AControlCharacterIsSeenWhereverItStandsAndNothingElseIsOne) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  for (int byte = 0; byte < 256; ++byte) {
    with_byte_anywhere(byte, [&](const std::string& text) {
      ASSERT_EQ(any_byte(text, has_control, is_control), is_control(static_cast<char>(byte))) << byte << ' ' << text.size();
    });
  }
  EXPECT_FALSE(any_byte("", has_control, is_control));
}

TEST(ByteScan, WhatAJsonStringCannotHoldIsEscapedWhereverItStands) {
  for (const auto& [byte, escaped] : {std::pair('"', "\\\""), std::pair('\\', "\\\\"), std::pair('\n', "\\n"),
                                      std::pair('\x01', "\\u0001"), std::pair('\x1f', "\\u001f")}) {
    with_byte_anywhere(byte, [&, byte = byte, escaped = std::string(escaped)](const std::string& text) {
      std::string expected = text;
      expected.replace(expected.find(byte), 1, escaped);
      ASSERT_EQ(json_of(text), '"' + expected + '"');
      ASSERT_EQ(json_of(text + text), '"' + expected + expected + '"');
    });
  }
  for (const char byte : {' ', '~', '\x7f', '/', '!', '#', '[', ']'}) {
    with_byte_anywhere(byte, [&](const std::string& text) { ASSERT_EQ(json_of(text), '"' + text + '"'); });
  }
}

TEST(ByteScan, ALogLineEscapesWhereverItMust) {
  for (const auto& [byte, escaped] : {std::pair('"', "\\\""), std::pair('\x7f', "\\u007f"), std::pair('\xff', "\\u00ff")}) {
    with_byte_anywhere(byte, [&, byte = byte, escaped = std::string(escaped)](const std::string& text) {
      std::string expected = text;
      expected.replace(expected.find(byte), 1, escaped);
      std::string out;
      append_json_string(out, text);
      ASSERT_EQ(out, '"' + expected + '"');
    });
  }
}

TEST(ByteScan, BadUtf8IsSeenWhereverItStands) {
  for (const int byte : {0x80, 0xbf, 0xc3, 0xff}) {
    with_byte_anywhere(byte, [](const std::string& text) { ASSERT_FALSE(is_valid_utf8(text)) << text.size(); });
  }
  for (std::size_t length = 0; length <= kLengthMost; ++length) {
    const std::string before(length, 'a');
    ASSERT_TRUE(is_valid_utf8(before + "\xc3\xa9" + before));
    ASSERT_FALSE(is_valid_utf8(before + "\xc3")) << "cut";
  }
}

TEST(ByteScan, Base64OfEveryLengthReadsBack) {
  std::string raw;
  for (std::size_t length = 0; length < 300; ++length) {
    const std::string text = base64url_encode(raw);
    ASSERT_EQ(text.size(), (length * 4 + 2) / 3);
    ASSERT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), std::string::npos);
    ASSERT_EQ(base64url_decode(text), raw) << length;
    raw += static_cast<char>(length * 151 + length / 7);
  }
}

}  // namespace
}  // namespace tidegate::byte_scan_test
