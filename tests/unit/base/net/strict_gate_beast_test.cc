// A second opinion: whatever our reader accepts, Boost.Beast accepts too and reads the same.
#include <gtest/gtest.h>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <string>

#include "base/core/random.h"
#include "base/net/strict_gate.h"
#include "tests/unit/base/net/gate_cases.h"

namespace tidegate {
namespace {

namespace http = boost::beast::http;

struct Reading {
  bool accepted = false;
  Framing framing;
  HeaderView head;
};

Reading read_ours(std::string_view raw) {
  Reading reading;
  std::size_t searched = 0;
  const auto end = find_head_end(raw, searched);
  if (!end || !parse_head(raw.substr(0, *end), reading.head)) return reading;
  const auto framing = check_framing(reading.head, UINT64_MAX);
  reading.accepted = framing.has_value();
  if (framing) reading.framing = *framing;
  return reading;
}

/// Fails the test when Beast disagrees with an accepted reading.
void expect_beast_agrees(const Reading& ours, std::string_view raw) {
  http::request_parser<http::empty_body> beast;
  beast.header_limit(64 * 1024);
  beast.body_limit(boost::none);
  beast.eager(false);
  boost::system::error_code error;
  beast.put(boost::asio::buffer(raw.data(), raw.size()), error);
  ASSERT_TRUE(!error || error == http::error::need_more) << error.message() << "\n" << raw;
  ASSERT_TRUE(beast.is_header_done()) << raw;
  EXPECT_EQ(std::string_view(beast.get().method_string()), ours.head.method) << raw;
  EXPECT_EQ(std::string_view(beast.get().target()), ours.head.target) << raw;
  EXPECT_EQ(beast.get().version(), 10U + static_cast<unsigned>(ours.head.version_minor)) << raw;
  EXPECT_EQ(beast.chunked(), ours.framing.body == Framing::Body::kChunked) << raw;
  const auto length = beast.content_length();
  EXPECT_EQ(length ? *length : 0, ours.framing.content_length) << raw;
  for (const HeaderField& field : ours.head.fields()) {
    bool found = false;
    const auto [first, last] = beast.get().equal_range(boost::beast::string_view(field.name.data(), field.name.size()));
    for (auto at = first; at != last; ++at) found = found || std::string_view(at->value()) == field.value;
    EXPECT_TRUE(found) << field.name << "\n" << raw;
  }
}

TEST(StrictGateBeside, BeastAgreesOnEveryAcceptedCase) {
  int accepted = 0;
  for (const auto& one : test::gate_cases()) {
    const Reading ours = read_ours(one.raw);
    if (!ours.accepted) continue;
    ++accepted;
    expect_beast_agrees(ours, one.raw);
  }
  EXPECT_GE(accepted, 10);
}

TEST(StrictGateBeside, BeastAgreesOnAcceptedMutations) {
  Rng rng(20261121);
  const auto cases = test::gate_cases();
  using namespace std::string_view_literals;
  static constexpr std::string_view kBytes = "\r\n\t :,;_-aZ09\"x\v\0chunkedContent-LengthTransfer-EncodingHost"sv;
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string raw = cases[rng.below(cases.size())].raw;
    if (raw.size() > 2000) continue;
    for (auto edits = rng.below(3) + 1; edits > 0; --edits) {
      const auto at = rng.below(raw.size());
      const char byte = kBytes[rng.below(kBytes.size())];
      switch (rng.below(3)) {
        case 0: raw[at] = byte; break;
        case 1: raw.insert(at, 1, byte); break;
        default: raw.erase(at, 1); break;
      }
    }
    const Reading ours = read_ours(raw);
    if (!ours.accepted) continue;
    ++accepted;
    ASSERT_NO_FATAL_FAILURE(expect_beast_agrees(ours, raw));
  }
  EXPECT_GE(accepted, 500);
}

}  // namespace
}  // namespace tidegate
