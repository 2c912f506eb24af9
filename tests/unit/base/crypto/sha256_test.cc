#include "base/crypto/sha256.h"

#include <gtest/gtest.h>

#include <string>

#include "base/core/encoding.h"

namespace tidegate {
namespace {

TEST(Hmac, IsThatOfRfc4231) {
  EXPECT_EQ(hex_encode(as_view(hmac_sha256("Jefe", "what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Hmac, AKeyReadOnceGivesTheSameForEveryText) {
  for (const std::string& key : {std::string(), std::string("Jefe"), std::string(64, 'k'), std::string(131, 'k')}) {
    const HmacKey kept(key);
    const HmacKey copy = kept;
    for (const std::string& text : {std::string(), std::string("a"), std::string(63, 'x'), std::string(1'000, 'y')}) {
      EXPECT_EQ(kept.of(text), hmac_sha256(key, text)) << key.size() << " " << text.size();
      EXPECT_EQ(copy.of(text), hmac_sha256(key, text));
    }
  }
}

}  // namespace
}  // namespace tidegate
