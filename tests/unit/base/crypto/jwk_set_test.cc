#include "base/crypto/jwk_set.h"

#include <gtest/gtest.h>

#include "tests/support/token_issuer.h"

namespace tidegate {
namespace {

using test::TokenIssuer;

std::string complaint_of(const std::string& jwk) {
  // Beside a good key, so that the set itself is one.
  const TokenIssuer good(JwtAlgorithm::kEdDsa, "good");
  const auto set = JwkSet::parse(TokenIssuer::set({good.jwk(), jwk}));
  EXPECT_TRUE(set) << set.error().to_string();
  if (!set || set->complaints().size() != 1) return "(none)";
  EXPECT_EQ(set->size(), 1U);
  return set->complaints().front();
}

TEST(JwkSet, FindsKeysByTheirIdAndAnUnnamedOneOnlyWhenItIsAlone) {
  const TokenIssuer one(JwtAlgorithm::kEs256, "one"), two(JwtAlgorithm::kEdDsa, "two");
  const auto both = JwkSet::parse(TokenIssuer::set({one.jwk(), two.jwk(R"(,"use":"sig","key_ops":["verify"])")}));
  ASSERT_TRUE(both) << both.error().to_string();
  EXPECT_EQ(both->size(), 2U);
  ASSERT_NE(both->find("two"), nullptr);
  EXPECT_EQ(both->find("two")->algorithm(), JwtAlgorithm::kEdDsa);
  EXPECT_EQ(both->find("three"), nullptr);
  EXPECT_EQ(both->find(""), nullptr) << "which of them?";
  const auto alone = JwkSet::parse(TokenIssuer::set({one.jwk()}));
  ASSERT_TRUE(alone);
  ASSERT_NE(alone->find(""), nullptr);
  EXPECT_EQ(alone->find("")->id(), "one");
}

TEST(JwkSet, AnRsaKeyWithoutAlgorithmSignsAsRs256) {
  const TokenIssuer rsa(JwtAlgorithm::kRs256);
  std::string jwk = rsa.jwk();
  const std::string named = R"("alg":"RS256",)";
  jwk.erase(jwk.find(named), named.size());
  const auto set = JwkSet::parse(TokenIssuer::set({jwk}));
  ASSERT_TRUE(set) << set.error().to_string();
  EXPECT_EQ(set->find("k1")->algorithm(), JwtAlgorithm::kRs256);
}

TEST(JwkSet, WhatSignsNothingIsLeftOutWithAReason) {
  const TokenIssuer other(JwtAlgorithm::kEdDsa, "other"), curve(JwtAlgorithm::kEs256, "curve");
  EXPECT_NE(complaint_of(other.jwk(R"(,"use":"enc")")).find("not for signatures"), std::string::npos);
  EXPECT_NE(complaint_of(other.jwk(R"(,"key_ops":["encrypt"])")).find("key_ops"), std::string::npos);
  EXPECT_NE(complaint_of(other.jwk(R"(,"d":"AAAA")")).find("private"), std::string::npos);
  EXPECT_NE(complaint_of(R"({"kty":"oct","kid":"h","k":"c2VjcmV0"})").find("oct"), std::string::npos)
      << "or a public key could be used as the secret of an HMAC";
  EXPECT_NE(complaint_of(other.jwk(R"(,"alg":"HS256")")).find("HS256"), std::string::npos);
  EXPECT_NE(complaint_of(curve.jwk(R"(,"alg":"RS256")")).find("RS256"), std::string::npos);
  EXPECT_NE(complaint_of(R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})").find("32 bytes"), std::string::npos);
  EXPECT_NE(complaint_of(R"({"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"})").find("P-384"), std::string::npos);
  EXPECT_NE(complaint_of("5").find("not an object"), std::string::npos);
  const TokenIssuer twin(JwtAlgorithm::kEdDsa, "good");
  EXPECT_NE(complaint_of(twin.jwk()).find("same 'kid'"), std::string::npos);
}

TEST(JwkSet, WeakAndUnsoundNumbersAreLeftOut) {
  const TokenIssuer weak(JwtAlgorithm::kRs256, "weak", 1024);
  EXPECT_NE(complaint_of(weak.jwk()).find("2048"), std::string::npos);
  const std::string zeros(43, 'A');  // 32 bytes of zero: not on the curve
  EXPECT_NE(complaint_of(R"({"kty":"EC","crv":"P-256","x":")" + zeros + R"(","y":")" + zeros + R"("})").find("EC"),
            std::string::npos);
  const TokenIssuer rsa(JwtAlgorithm::kRs256, "one");
  std::string jwk = rsa.jwk();
  const std::string exponent = R"("e":"AQAB")";
  ASSERT_NE(jwk.find(exponent), std::string::npos);
  jwk.replace(jwk.find(exponent), exponent.size(), R"("e":"AQ")");  // 1: everybody's signature
  EXPECT_NE(complaint_of(jwk).find("exponent"), std::string::npos);
}

TEST(JwkSet, ADocumentThatIsNoSetIsRefused) {
  EXPECT_EQ(JwkSet::parse("").error().reason, "bad_jwks");
  EXPECT_EQ(JwkSet::parse("[]").error().reason, "bad_jwks");
  EXPECT_EQ(JwkSet::parse("{}").error().reason, "bad_jwks");
  EXPECT_EQ(JwkSet::parse(R"({"keys":[]})").error().reason, "bad_jwks") << "an empty set would lock everybody out";
  EXPECT_EQ(JwkSet::parse(R"({"keys":[{"kty":"oct","k":"c2VjcmV0"}]})").error().reason, "bad_jwks");
  EXPECT_EQ(JwkSet::parse(std::string(JwkSet::kBytesMax + 1, ' ')).error().reason, "bad_jwks");
  std::string many = R"({"keys":[)";
  for (std::size_t i = 0; i < JwkSet::kKeysMax; ++i) many += "{},";
  EXPECT_EQ(JwkSet::parse(many + "{}]}").error().reason, "bad_jwks");
}

}  // namespace
}  // namespace tidegate
