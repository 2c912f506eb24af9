#include "base/core/secret_check.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

TEST(SecretCheck, RandomOnesPass) { EXPECT_TRUE(check_secret("secrets.x_file", "0123456789abcdef0123456789abcdef")); }

TEST(SecretCheck, ShortAndPatternedOnesAreRefusedByNameWithTheFix) {
  for (const std::string& weak : {std::string(), std::string("0123456789abcdef"), std::string(64, 'a'),
                                  std::string("abababababababababababababababababab")}) {
    const Status status = check_secret("secrets.x_file", weak);
    ASSERT_FALSE(status) << weak;
    EXPECT_EQ(status.error().reason, "weak_secret");
    EXPECT_EQ(status.error().field, "secrets.x_file");
    EXPECT_NE(status.error().message.find("openssl rand -hex 32"), std::string::npos);
    if (!weak.empty()) {
      EXPECT_EQ(status.error().message.find(weak), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace tidegate
