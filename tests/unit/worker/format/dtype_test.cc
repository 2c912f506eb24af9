#include "worker/format/dtype.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tidegate::worker {
namespace {

TEST(E4m3, KnownValues) {
  EXPECT_EQ(e4m3_to_float(0x00), 0.0f);
  EXPECT_EQ(e4m3_to_float(0x38), 1.0f);
  EXPECT_EQ(e4m3_to_float(0xb8), -1.0f);
  EXPECT_EQ(e4m3_to_float(0x7e), 448.0f);
  EXPECT_EQ(e4m3_to_float(0x08), 0.015625f) << "smallest normal, 2^-6";
  EXPECT_EQ(e4m3_to_float(0x01), 0.001953125f) << "smallest subnormal, 2^-9";
}

TEST(E4m3, OnlyTwoCodesAreNaNAndNoneIsInfinite) {
  int nans = 0;
  for (int code = 0; code < 256; ++code) {
    const float value = e4m3_to_float(static_cast<std::uint8_t>(code));
    EXPECT_FALSE(std::isinf(value)) << code;
    EXPECT_EQ(std::isnan(value), e4m3_is_nan(static_cast<std::uint8_t>(code))) << code;
    nans += std::isnan(value) ? 1 : 0;
  }
  EXPECT_EQ(nans, 2);
}

TEST(F16, KnownValues) {
  EXPECT_EQ(f16_to_float(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_float(0xc000), -2.0f);
  EXPECT_EQ(f16_to_float(0x7bff), 65504.0f);
  EXPECT_EQ(f16_to_float(0x0001), std::ldexp(1.0f, -24));
  EXPECT_TRUE(std::isinf(f16_to_float(0x7c00)));
  EXPECT_TRUE(std::isnan(f16_to_float(0x7c01)));
}

TEST(Bf16, IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(bf16_to_float(0x3f80), 1.0f);
  EXPECT_EQ(bf16_to_float(0xc049), -3.140625f);
}

}  // namespace
}  // namespace tidegate::worker
