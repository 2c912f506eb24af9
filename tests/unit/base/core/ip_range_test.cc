#include "base/core/ip_range.h"

#include <gtest/gtest.h>

#include "base/core/random.h"

namespace tidegate {
namespace {

IpAddress address(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(IpAddress());
}
bool is_in(std::string_view range, std::string_view text) {
  const auto parsed = IpRange::parse(range);
  EXPECT_TRUE(parsed) << range;
  return parsed && parsed->contains(address(text));
}

TEST(IpAddress, BothFamiliesAndNothingElse) {
  EXPECT_EQ(address("203.0.113.7").to_string(), "203.0.113.7");
  EXPECT_EQ(address("2001:DB8:0::1").to_string(), "2001:db8::1");
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "1.2.3.4:80", "[::1]",
                           "::1%lo", "localhost", "1:2", ":::", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

TEST(IpAddress, AMappedAddressIsTheAddressItMaps) {
  EXPECT_EQ(address("::ffff:203.0.113.7"), address("203.0.113.7"));
  EXPECT_TRUE(address("::ffff:203.0.113.7").is_v4());
  EXPECT_FALSE(address("::1").is_v4());
}

TEST(IpRange, ContainsWhatSharesItsPrefix) {
  EXPECT_TRUE(is_in("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(is_in("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(is_in("192.0.2.128/25", "192.0.2.128"));
  EXPECT_FALSE(is_in("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(is_in("203.0.113.7", "203.0.113.7"));
  EXPECT_FALSE(is_in("203.0.113.7", "203.0.113.6"));
  EXPECT_TRUE(is_in("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(is_in("2001:db8::/33", "2001:db8:8000::1"));
}

TEST(IpRange, EverythingOfAFamilyIsNothingOfTheOther) {
  EXPECT_TRUE(is_in("0.0.0.0/0", "203.0.113.7"));
  EXPECT_FALSE(is_in("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(is_in("::/0", "2001:db8::1"));
  EXPECT_FALSE(is_in("::/0", "203.0.113.7"));
  EXPECT_TRUE(is_in("::ffff:10.0.0.0/104", "10.1.2.3")) << "the long way of writing 10.0.0.0/8";
}

TEST(IpRange, PrintsCanonically) {
  EXPECT_EQ(IpRange::parse("2001:DB8:0:0::/32")->to_string(), "2001:db8::/32");
  EXPECT_EQ(IpRange::parse("10.0.0.0/8")->to_string(), "10.0.0.0/8");
  EXPECT_EQ(IpRange::parse("203.0.113.7")->to_string(), "203.0.113.7/32");
  EXPECT_EQ(IpRange::parse("::1")->to_string(), "::1/128");
}

TEST(IpRange, ASlipIsRefusedWithTheRangeThatWasMeant) {
  const auto slip = IpRange::parse("10.1.2.3/8");
  ASSERT_FALSE(slip);
  EXPECT_EQ(slip.error().reason, "bad_ip_range");
  EXPECT_NE(slip.error().message.find("10.0.0.0/8"), std::string::npos);
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/8/8", "::/129",
                           "2001:db8::1/64", "10.0.0.0 /8"}) {
    EXPECT_FALSE(IpRange::parse(text)) << text;
  }
}

TEST(IpRange, EveryPrefixOfRandomAddressesHoldsItsFirstAndLastAndNotTheNeighbours) {
  Rng rng(20);
  for (int round = 0; round < 200; ++round) {
    IpAddress any;
    for (auto& byte : any.bytes) byte = static_cast<std::uint8_t>(rng.next());
    if (any.is_v4()) continue;
    for (int bits = 1; bits <= 128; ++bits) {
      IpAddress first = any, last = any;
      for (int i = bits; i < 128; ++i) {
        const auto mask = static_cast<std::uint8_t>(0x80U >> (i % 8));
        first.bytes[static_cast<std::size_t>(i / 8)] &= static_cast<std::uint8_t>(~mask);
        last.bytes[static_cast<std::size_t>(i / 8)] |= mask;
      }
      const auto range = IpRange::parse(first.to_string() + "/" + std::to_string(bits));
      ASSERT_TRUE(range) << first.to_string() << '/' << bits;
      EXPECT_TRUE(range->contains(first));
      EXPECT_TRUE(range->contains(last));
      IpAddress outside = first;
      outside.bytes[static_cast<std::size_t>((bits - 1) / 8)] ^= static_cast<std::uint8_t>(0x80U >> ((bits - 1) % 8));
      EXPECT_FALSE(range->contains(outside)) << range->to_string();
    }
  }
}

}  // namespace
}  // namespace tidegate
