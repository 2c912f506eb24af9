#include "gateway/core/stored_answer.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

StoredAnswer sample() {
  StoredAnswer answer;
  answer.status = 200;
  answer.is_stream = true;
  answer.content_type = "text/event-stream";
  answer.headers = {{"x-request-id", "0198f000"}, {"x-empty", ""}};
  answer.body = std::string("data: {\"a\":\"\xe6\x98\xa5\"}\n\n\0data: [DONE]\n\n", 34);
  return answer;
}

TEST(StoredAnswer, ComesBackAsItWas) {
  EXPECT_EQ(decode_answer(encode_answer(sample())).value(), sample());
  StoredAnswer bare;
  bare.status = 204;
  EXPECT_EQ(decode_answer(encode_answer(bare)).value(), bare);
}

TEST(StoredAnswer, NoCutOrLengthenedTextIsAnAnswer) {
  const std::string whole = encode_answer(sample());
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(decode_answer(whole.substr(0, length))) << length;
  EXPECT_FALSE(decode_answer(whole + "x"));
}

TEST(StoredAnswer, LengthsThatLieAreRefusedWithoutReserving) {
  for (std::size_t at = 1; at + 4 <= encode_answer(sample()).size(); ++at) {
    std::string lying = encode_answer(sample());
    lying.replace(at, 4, 4, '\xff');
    const auto decoded = decode_answer(lying);
    if (decoded) {
      EXPECT_EQ(decoded->status, 200) << "only text may have changed";
    }
  }
}

}  // namespace
}  // namespace tidegate::gateway
