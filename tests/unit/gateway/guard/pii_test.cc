#include "gateway/guard/pii.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/crypto/api_key.h"
#include "base/text_rules/text_rules.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

/// The first one that is found in the text, "" if none.
std::string found(std::string_view kind_name, const std::string& text) {
  const PiiKind* kind = find_pii_kind(kind_name);
  if (kind == nullptr) return "no such kind";
  const auto rules = TextRules::compile({std::string(kind->pattern)});
  if (!rules) return rules.error().to_string();
  for (std::size_t from = 0; from < text.size();) {
    const auto match = rules->find(0, text, from);
    if (!match) return {};
    const std::size_t length = kind->length(std::string_view(text).substr(match->begin, match->end - match->begin));
    if (length > 0) return text.substr(match->begin, length);
    from = next_character(text, match->begin);
  }
  return {};
}

TEST(Pii, EveryKindIsBoundedSoThatItMayStandInARuleForOutput) {
  for (const char* name : {"email", "phone", "cn_id", "card", "iban", "ip", "api_key"}) {
    const PiiKind* kind = find_pii_kind(name);
    ASSERT_NE(kind, nullptr) << name;
    const auto rules = TextRules::compile({std::string(kind->pattern)});
    ASSERT_TRUE(rules) << name << ": " << rules.error().to_string();
    EXPECT_LT(rules->bytes_max(0), 400U) << name;
    EXPECT_FALSE(rules->has_anchors(0)) << name;
    EXPECT_NE(pii_kind_names().find(name), std::string::npos);
  }
  EXPECT_EQ(find_pii_kind("shoe_size"), nullptr);
}

TEST(Pii, EmailAddresses) {
  EXPECT_EQ(found("email", "mail li.wei+x@mail.example.com, please"), "li.wei+x@mail.example.com");
  EXPECT_EQ(found("email", "邮箱a@b.cn。"), "a@b.cn");
  for (const char* text : {"a@b", "@b.cn", "a..b@c.cn x", "a@.cn", "user at host.com"}) {
    EXPECT_EQ(found("email", text).find(".."), std::string::npos) << text;
  }
  EXPECT_EQ(found("email", "a@b"), "");
  EXPECT_EQ(found("email", "x.@b.cn"), "") << "no dot before the @";
}

TEST(Pii, PhoneNumbers) {
  EXPECT_EQ(found("phone", "call +1 (415) 555-2671 now"), "+1 (415) 555-2671");
  EXPECT_EQ(found("phone", "call +442071838750."), "+442071838750");
  EXPECT_EQ(found("phone", "手机13812345678转"), "13812345678");
  EXPECT_EQ(found("phone", "138-1234-5678"), "138-1234-5678");
  EXPECT_EQ(found("phone", "8613812345678"), "8613812345678");
  EXPECT_EQ(found("phone", "order 12345678901"), "") << "no such range of mobile numbers";
  EXPECT_EQ(found("phone", "1381234567890"), "") << "too many digits";
  EXPECT_EQ(found("phone", "1+12345678"), "") << "a sum";
}

TEST(Pii, ChineseResidentIdsByTheirCheckDigit) {
  EXPECT_EQ(found("cn_id", "身份证11010519491231002X。"), "11010519491231002X");
  EXPECT_EQ(found("cn_id", "11010519491231002x"), "11010519491231002x");
  EXPECT_EQ(found("cn_id", "110105194912310021"), "") << "the check digit is X";
  EXPECT_EQ(found("cn_id", "11010519491331002X"), "") << "a thirteenth month";
  EXPECT_TRUE(is_cn_resident_id("440524188001010014"));
  EXPECT_FALSE(is_cn_resident_id("440524188001010015"));
}

TEST(Pii, PaymentCardsByLuhn) {
  EXPECT_EQ(found("card", "card 4111 1111 1111 1111 thanks"), "4111 1111 1111 1111");
  EXPECT_EQ(found("card", "5555-5555-5555-4444"), "5555-5555-5555-4444");
  EXPECT_EQ(found("card", "378282246310005"), "378282246310005");
  EXPECT_EQ(found("card", "4111 1111 1111 1112"), "");
  EXPECT_EQ(found("card", "0000 0000 0000 0000"), "");
  EXPECT_EQ(found("card", "7 4111111111111111"), "4111111111111111") << "the number behind another";
}

TEST(Pii, IbansByTheirRemainderAndTheCountrysLength) {
  EXPECT_EQ(found("iban", "to DE89 3704 0044 0532 0130 00 BY FRIDAY"), "DE89 3704 0044 0532 0130 00");
  EXPECT_EQ(found("iban", "GB82WEST12345698765432."), "GB82WEST12345698765432");
  EXPECT_EQ(found("iban", "NO9386011117947"), "NO9386011117947");
  EXPECT_EQ(found("iban", "DE88370400440532013000"), "");
  EXPECT_EQ(found("iban", "DE8937040044053201300"), "") << "one character short";
  EXPECT_EQ(found("iban", "XX82WEST12345698765432"), "") << "no such country";
}

TEST(Pii, InternetAddresses) {
  EXPECT_EQ(found("ip", "from 203.0.113.7:443"), "203.0.113.7");
  EXPECT_EQ(found("ip", "from 2001:db8::1 today"), "2001:db8::1");
  EXPECT_EQ(found("ip", "loop ::1 back"), "::1");
  EXPECT_EQ(found("ip", "fe80:0:0:0:0:0:0:1"), "fe80:0:0:0:0:0:0:1");
  for (const char* text : {"256.1.1.1", "at 12:30:45", "std::vector", "1.2.3", "12:30"}) EXPECT_EQ(found("ip", text), "") << text;
}

TEST(Pii, ApiKeysOursByTheirChecksum) {
  tidegate::test::SeededEntropy entropy(7);
  const std::string ours = mint_api_key(entropy, KeyKind::kTenant).text;
  EXPECT_EQ(found("api_key", "key=" + ours + "\n"), ours);
  std::string wrong = ours;
  wrong.back() = wrong.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(found("api_key", wrong), "");
  // Put together here, so that no scanner of this repository takes them for real ones.
  const std::string random = "0123456789abcdefghijABCDEFGHIJ012345";
  EXPECT_EQ(found("api_key", "export KEY=sk-" + random), "sk-" + random);
  EXPECT_EQ(found("api_key", "AKIA" + std::string(16, 'Q')), "AKIA" + std::string(16, 'Q'));
  EXPECT_EQ(found("api_key", "ghp_" + random), "ghp_" + random);
  EXPECT_EQ(found("api_key", "task-" + random), "") << "not at the beginning of a word";
}

}  // namespace
}  // namespace tidegate::gateway
