#include "base/net/chunk_decoder.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::chunk_decoder_test {
namespace {

constexpr std::uint64_t kBodyMax = 1000;

struct Decoded {
  std::string body;
  std::string reason;
  std::size_t used = 0;
  bool done = false;
};

Decoded decode(const std::string& raw, std::size_t slice = SIZE_MAX) {
  ChunkDecoder decoder(kBodyMax);
  ByteBuffer body;
  Decoded out;
  while (out.used < raw.size() && !decoder.is_done()) {
    const auto used = decoder.feed(std::string_view(raw).substr(out.used, slice), body);
    if (!used) {
      out.reason = used.error().reason;
      return out;
    }
    out.used += *used;
  }
  out.body = body.data();
  out.done = decoder.is_done();
  return out;
}

TEST(ChunkDecoder, ReadsTheSameInAnySlicing) {
  const std::string raw = "5\r\nhello\r\nB\r\n, and world\r\n0001\r\n!\r\n0\r\n\r\n";
  for (std::size_t slice = 1; slice <= raw.size(); ++slice) {
    const Decoded decoded = decode(raw, slice);
    EXPECT_TRUE(decoded.done);
    EXPECT_EQ(decoded.body, "hello, and world!");
    EXPECT_EQ(decoded.used, raw.size());
  }
}

TEST(ChunkDecoder, LeavesThePipelinedRequestAlone) {
  const std::string body = "2\r\nok\r\n0\r\n\r\n";
  const Decoded decoded = decode(body + "GET / HTTP/1.1\r\n");
  EXPECT_TRUE(decoded.done);
  EXPECT_EQ(decoded.used, body.size());
}

TEST(ChunkDecoder, RefusesEverythingAmbiguous) {
  for (const char* raw : {"\r\n", "x\r\n", "5;a=b\r\nhello\r\n", "5 \r\nhello\r\n", " 5\r\nhello\r\n", "+5\r\nhello\r\n",
                          "0x5\r\nhello\r\n", "5\nhello\r\n", "5\r\rhello\r\n", "5\r\nhelloX\r\n", "5\r\nhello\rX",
                          "5\r\nhello\n0\r\n\r\n", "0\r\nTrailer: a\r\n\r\n", "0\r\n\rX", "123456789\r\n", "-1\r\n"}) {
    EXPECT_EQ(decode(raw).reason, "bad_chunk") << raw;
  }
}

TEST(ChunkDecoder, BoundsTheBodyBeforeItArrives) {
  EXPECT_EQ(decode("3e9\r\n").reason, "body_too_large") << "1001 bytes announced";
  EXPECT_EQ(decode("3e8\r\n" + std::string(1000, 'a') + "\r\n1\r\n").reason, "body_too_large");
  EXPECT_EQ(decode("FFFFFFFF\r\n").reason, "body_too_large");
}

TEST(ChunkDecoder, BoundsTheNumberOfChunks) {
  ChunkDecoder decoder(1 << 20);
  ByteBuffer body;
  for (std::uint32_t i = 0; i < ChunkDecoder::kChunksMax; ++i) ASSERT_TRUE(decoder.feed("1\r\na\r\n", body));
  EXPECT_EQ(decoder.feed("1\r\na\r\n", body).error().reason, "bad_chunk");
}

}  // namespace
}  // namespace tidegate::chunk_decoder_test
