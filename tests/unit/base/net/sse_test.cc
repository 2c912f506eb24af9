#include "base/net/sse.h"

#include <gtest/gtest.h>

#include <vector>

namespace tidegate {
namespace {

TEST(Sse, EventsAreFramedAsTheSpecificationSays) {
  std::string out;
  sse::append_event(out, R"({"a":1})");
  sse::append_event(out, "error", "{}");
  EXPECT_EQ(out, "data: {\"a\":1}\n\nevent: error\ndata: {}\n\n");
}

TEST(Sse, ParserReadsTheSameInAnySlicing) {
  std::string stream(sse::kKeepAlive);
  sse::append_event(stream, "one");
  stream += "event: named\r\ndata:two\r\ndata: lines\r\n\r\n";
  stream += ": comment\n\n";
  stream += sse::kDone;
  for (std::size_t slice = 1; slice <= stream.size(); ++slice) {
    std::vector<std::string> got;
    sse::Parser parser([&](const sse::Parser::Event& event) { got.push_back(event.name + "|" + event.data); });
    for (std::size_t at = 0; at < stream.size(); at += slice) {
      ASSERT_TRUE(parser.feed(std::string_view(stream).substr(at, slice)));
    }
    EXPECT_EQ(got, (std::vector<std::string>{"|one", "named|two\nlines", "|[DONE]"})) << slice;
  }
}

TEST(Sse, AnEventWithoutAnEndIsBounded) {
  sse::Parser parser([](const sse::Parser::Event&) {});
  const std::string piece(64 * 1024, 'a');
  std::size_t fed = 0;
  while (parser.feed(piece)) fed += piece.size();
  EXPECT_LE(fed, sse::Parser::kEventBytesMax);
}

}  // namespace
}  // namespace tidegate
