#include "base/crypto/jwt.h"

#include <gtest/gtest.h>

#include "tests/support/token_issuer.h"

namespace tidegate {
namespace {

using test::TokenIssuer;

constexpr std::int64_t kNow = 1'800'000'000;  // seconds
const Wall kNowWall = wall_from_unix_micros(kNow * 1'000'000);
const JwtRules kRules{"https://idp.example", "tidegate"};

/// Good claims with some replaced: `extra` wins, for the last of two members counts.
std::string claims(const std::string& extra = {}) {
  return R"({"iss":"https://idp.example","aud":"tidegate","sub":"ann","exp":)" + std::to_string(kNow + 300) +
         R"(,"iat":)" + std::to_string(kNow - 5) + (extra.empty() ? "" : "," + extra) + "}";
}

JwkSet keys_of(const TokenIssuer& issuer) { return JwkSet::parse(TokenIssuer::set({issuer.jwk()})).value(); }

const TokenIssuer& issuer() {
  static const TokenIssuer kIssuer(JwtAlgorithm::kEdDsa);
  return kIssuer;
}
std::string reason_of(const std::string& token) {
  const auto verified = verify_jwt(token, keys_of(issuer()), kRules, kNowWall);
  return verified ? "(accepted)" : verified.error().reason;
}
std::string reason_with(const std::string& extra) { return reason_of(issuer().token(claims(extra))); }

class EveryAlgorithm : public testing::TestWithParam<JwtAlgorithm> {};

TEST_P(EveryAlgorithm, ATokenOfTheIssuerIsAccepted) {
  const TokenIssuer one(GetParam());
  const auto verified = verify_jwt(one.token(claims()), keys_of(one), kRules, kNowWall);
  ASSERT_TRUE(verified) << verified.error().to_string();
  EXPECT_EQ(verified->subject, "ann");
  EXPECT_EQ(verified->key_id, "k1");
  EXPECT_EQ(verified->expires, wall_from_unix_micros((kNow + 300) * 1'000'000));
}

TEST_P(EveryAlgorithm, OneOtherBitAnywhereIsRefused) {
  const TokenIssuer one(GetParam());
  const JwkSet keys = keys_of(one);
  const std::string good = one.token(claims());
  const std::size_t end_of_claims = good.rfind('.');
  // In the claims, in the signature's first number and in its second.
  for (const std::size_t at : {good.find('.') + 8, end_of_claims + 4, end_of_claims + 60}) {
    std::string bad = good;
    bad[at] = bad[at] == 'x' ? 'y' : 'x';
    const auto verified = verify_jwt(bad, keys, kRules, kNowWall);
    ASSERT_FALSE(verified) << "at " << at;
    EXPECT_EQ(verified.error().reason, "jwt_bad_signature") << "at " << at;
  }
}

TEST_P(EveryAlgorithm, ASignatureOfAnotherKeyOfTheSameNameIsRefused) {
  const TokenIssuer one(GetParam()), impostor(GetParam());
  const auto verified = verify_jwt(impostor.token(claims()), keys_of(one), kRules, kNowWall);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().reason, "jwt_bad_signature");
}

INSTANTIATE_TEST_SUITE_P(Jwt, EveryAlgorithm,
                         testing::Values(JwtAlgorithm::kRs256, JwtAlgorithm::kPs256, JwtAlgorithm::kEs256,
                                         JwtAlgorithm::kEdDsa),
                         [](const auto& one) { return std::string(jwt_algorithm_name(one.param)); });

TEST(Jwt, TheKeySaysTheAlgorithm) {
  for (const char* alg : {"none", "None", "HS256", "RS256", "ES256", ""}) {
    const std::string header = R"({"kid":"k1","alg":")" + std::string(alg) + R"("})";
    EXPECT_EQ(reason_of(issuer().token(header, claims())), "jwt_algorithm") << alg;
  }
  EXPECT_EQ(reason_of(issuer().token(R"({"kid":"k1"})", claims())), "jwt_algorithm");
  // RS256 and PS256 share their keys: only what the key says counts.
  const TokenIssuer pss(JwtAlgorithm::kPs256);
  const std::string lie = pss.token(R"({"kid":"k1","alg":"RS256"})", claims());
  EXPECT_EQ(verify_jwt(lie, keys_of(pss), kRules, kNowWall).error().reason, "jwt_algorithm");
}

TEST(Jwt, ATokenWithoutSignatureIsRefused) {
  const std::string unsigned_text = base64url_encode(R"({"alg":"none","kid":"k1"})") + "." + base64url_encode(claims());
  EXPECT_NE(reason_of(unsigned_text + "."), "(accepted)");
  EXPECT_EQ(reason_of(unsigned_text), "jwt_malformed");
  const std::string good = issuer().token(claims());
  EXPECT_EQ(reason_of(good.substr(0, good.rfind('.') + 1)), "jwt_bad_signature");
}

TEST(Jwt, AKeyThatTheTokenBringsIsNotLookedAt) {
  const TokenIssuer impostor(JwtAlgorithm::kEdDsa);
  const std::string header = R"({"alg":"EdDSA","kid":"k1","jku":"https://evil.example/keys","x5u":"https://evil.example",)"
                             R"("jwk":)" + impostor.jwk() + "}";
  EXPECT_EQ(reason_of(impostor.token(header, claims())), "jwt_bad_signature");
  EXPECT_EQ(reason_of(issuer().token(header, claims())), "(accepted)") << "they say nothing to us";
}

TEST(Jwt, ExtensionsAndTokensOfOtherKindsAreRefused) {
  EXPECT_EQ(reason_of(issuer().token(R"({"alg":"EdDSA","kid":"k1","crit":["b64"],"b64":false})", claims())),
            "jwt_malformed");
  EXPECT_EQ(reason_of(issuer().token(R"({"alg":"EdDSA","kid":"k1","typ":"logout+jwt"})", claims())), "jwt_malformed");
  EXPECT_EQ(reason_of(issuer().token(R"({"alg":"EdDSA","kid":"k1","typ":5})", claims())), "jwt_malformed");
  for (const char* type : {"JWT", "jwt", "at+jwt", "application/at+jwt"}) {
    const std::string header = R"({"alg":"EdDSA","kid":"k1","typ":")" + std::string(type) + R"("})";
    EXPECT_EQ(reason_of(issuer().token(header, claims())), "(accepted)") << type;
  }
}

TEST(Jwt, KeysAreFoundByTheirName) {
  EXPECT_EQ(reason_of(issuer().token(R"({"alg":"EdDSA","kid":"k2"})", claims())), "jwt_unknown_key");
  EXPECT_EQ(reason_of(issuer().token(R"({"alg":"EdDSA"})", claims())), "(accepted)") << "there is only one";
  EXPECT_EQ(reason_of(issuer().token(R"({"alg":"EdDSA","kid":7})", claims())), "jwt_malformed");
  EXPECT_EQ(jwt_key_id(issuer().token(claims())).value(), "k1");
  EXPECT_EQ(jwt_key_id(issuer().token(R"({"alg":"EdDSA"})", claims())).value(), "");
  EXPECT_FALSE(jwt_key_id("tga_00000000"));
}

TEST(Jwt, ATokenLivesBetweenItsInstantsWithAMinuteOfLeeway) {
  const auto at = [](const char* name, std::int64_t offset) {
    return std::string(R"(")") + name + R"(":)" + std::to_string(kNow + offset);
  };
  EXPECT_EQ(reason_with(at("exp", -59)), "(accepted)");
  EXPECT_EQ(reason_with(at("exp", -60)), "jwt_expired");
  EXPECT_EQ(reason_with(at("nbf", 60)), "(accepted)");
  EXPECT_EQ(reason_with(at("nbf", 61)), "jwt_not_yet_valid");
  EXPECT_EQ(reason_with(at("iat", 60)), "(accepted)");
  EXPECT_EQ(reason_with(at("iat", 61)), "jwt_not_yet_valid");
  EXPECT_EQ(reason_with(R"("exp":1800000200.5)"), "(accepted)") << "fractions are allowed";
  EXPECT_EQ(reason_with(R"("exp":"1800000200")"), "jwt_bad_claim");
  EXPECT_EQ(reason_with(R"("exp":-1)"), "jwt_bad_claim");
  EXPECT_EQ(reason_with(R"("exp":1e300)"), "jwt_bad_claim");
  EXPECT_EQ(reason_with(R"("nbf":null)"), "jwt_bad_claim");
  const std::string endless = R"({"iss":"https://idp.example","aud":"tidegate","sub":"ann"})";
  EXPECT_EQ(reason_of(issuer().token(endless)), "jwt_bad_claim");
}

TEST(Jwt, IssuerAndAudienceAreOursToTheLetter) {
  EXPECT_EQ(reason_with(R"("iss":"https://idp.example/")"), "jwt_issuer");
  EXPECT_EQ(reason_with(R"("iss":["https://idp.example"])"), "jwt_issuer");
  EXPECT_EQ(reason_with(R"("aud":"other")"), "jwt_audience");
  EXPECT_EQ(reason_with(R"("aud":[])"), "jwt_audience");
  EXPECT_EQ(reason_with(R"("aud":null)"), "jwt_audience");
  EXPECT_EQ(reason_with(R"("aud":["other","tidegate"])"), "(accepted)");
  EXPECT_EQ(reason_with(R"("aud":["tidegate",1])"), "jwt_bad_claim");
}

TEST(Jwt, TheSubjectIsAName) {
  EXPECT_EQ(reason_with(R"("sub":"")"), "jwt_bad_claim");
  EXPECT_EQ(reason_with(R"("sub":"an n")"), "jwt_bad_claim");
  EXPECT_EQ(reason_with(R"("sub":"ann\n")"), "jwt_bad_claim");
  EXPECT_EQ(reason_with(R"("sub":7)"), "jwt_bad_claim");
  EXPECT_EQ(reason_with(R"("sub":")" + std::string(255, 'a') + R"(")"), "(accepted)");
  EXPECT_EQ(reason_with(R"("sub":")" + std::string(256, 'a') + R"(")"), "jwt_bad_claim");
}

TEST(Jwt, WhatIsNoTokenIsRefusedAndNeverQuotedAtLength) {
  const std::string good = issuer().token(claims());
  EXPECT_EQ(reason_of(""), "jwt_malformed");
  EXPECT_EQ(reason_of("a.b"), "jwt_malformed");
  EXPECT_EQ(reason_of(good + ".x"), "jwt_malformed") << "more parts would be an encrypted one";
  EXPECT_EQ(reason_of(good + "="), "jwt_malformed") << "padding";
  EXPECT_EQ(reason_of(good + " "), "jwt_malformed");
  EXPECT_EQ(reason_of(issuer().token("[]", claims())), "jwt_malformed");
  EXPECT_EQ(reason_of(issuer().token(issuer().header(), "[]")), "jwt_malformed");
  EXPECT_EQ(reason_of(issuer().token(issuer().header(), "{\"sub\":\"\xff\"}")), "jwt_malformed");
  EXPECT_EQ(reason_with(R"("x":")" + std::string(kJwtBytesMax, 'a') + R"(")"), "jwt_too_large");
  const std::string long_name = R"({"alg":"EdDSA","kid":")" + std::string(2'000, 'k') + R"("})";
  EXPECT_LT(verify_jwt(issuer().token(long_name, claims()), keys_of(issuer()), kRules, kNowWall).error().message.size(),
            300U);
}

TEST(Jwt, ItsShapeIsSeenWithoutReadingIt) {
  EXPECT_TRUE(has_jwt_shape(issuer().token(claims())));
  EXPECT_FALSE(has_jwt_shape("tga_0123456789"));
  EXPECT_FALSE(has_jwt_shape("a.b."));
  EXPECT_FALSE(has_jwt_shape("a.b.c.d"));
  EXPECT_FALSE(has_jwt_shape("a.b c.d"));
  EXPECT_FALSE(has_jwt_shape(std::string(kJwtBytesMax, 'a') + ".b.c"));
}

TEST(ClaimValues, AreAStringOrAListAtANameOrAPath) {
  const auto parsed = json::parse(R"({"role":"a","groups":["b",7,"c"],"https://x.example/roles":["d"],
                                      "realm":{"access":{"roles":["e"]}},"n":5})");
  ASSERT_TRUE(parsed);
  const json::object& from = parsed->get_object();
  using Values = std::vector<std::string>;
  EXPECT_EQ(claim_values(from, "role"), Values{"a"});
  EXPECT_EQ(claim_values(from, "groups"), (Values{"b", "c"}));
  EXPECT_EQ(claim_values(from, "https://x.example/roles"), Values{"d"}) << "a name may have dots";
  EXPECT_EQ(claim_values(from, "realm.access.roles"), Values{"e"});
  EXPECT_EQ(claim_values(from, "realm.other.roles"), Values{});
  EXPECT_EQ(claim_values(from, "n"), Values{});
  EXPECT_EQ(claim_values(from, "none"), Values{});
}

}  // namespace
}  // namespace tidegate
