#include "billing/rpc/person_check.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/support/token_issuer.h"

namespace tidegate::billing {
namespace {

using test::TokenIssuer;

/// Gives the same set for ever, or nothing.
class FixedSource final : public KeySource {
 public:
  explicit FixedSource(std::string text) : text_(std::move(text)) {}
  Result<std::string> load() override {
    if (text_.empty()) return fail(Code::kUnavailable, "keys_unreachable", "away");
    return text_;
  }
  std::string stamp() const override { return {}; }

 private:
  const std::string text_;
};

struct PersonCheckTest : testing::Test {
  std::unique_ptr<PersonCheck> make(const std::string& tenant_claim = {}, bool has_keys = true) {
    PersonCheckOptions options{JwtRules{"https://idp.example", "tidegate"}, "groups", tenant_claim,
                               RoleMap::parse("admins=owner,staff=viewer").value()};
    auto source = std::make_unique<FixedSource>(has_keys ? TokenIssuer::set({issuer_.jwk()}) : "");
    auto keys = std::make_unique<IssuerKeys>(std::move(source), IssuerKeyOptions(), clock_, log_,
                                             registry_.counter("read_total", ""), registry_.counter("failed_total", ""));
    return std::make_unique<PersonCheck>(std::move(options), std::move(keys), clock_, log_);
  }
  /// `extra` wins over what stands before it.
  std::string token(const std::string& extra = R"("groups":["staff"])") const {
    const std::int64_t now = unix_micros(clock_.wall()) / 1'000'000;
    return issuer_.token(R"({"iss":"https://idp.example","aud":"tidegate","sub":"ann@example","exp":)" +
                         std::to_string(now + 300) + "," + extra + "}");
  }

  test::SimClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  TokenIssuer issuer_{JwtAlgorithm::kEs256};
};

TEST_F(PersonCheckTest, APersonIsNamedByTheSubject) {
  const auto person = make()->verify(token());
  ASSERT_TRUE(person) << person.error().to_string();
  EXPECT_EQ(person->actor, "person/ann@example");
  EXPECT_EQ(person->shape.role, AdminRole::kViewer);
  EXPECT_EQ(person->shape.tenant, "");
  EXPECT_EQ(make()->verify(token(R"("groups":"admins")"))->shape.role, AdminRole::kOwner) << "one value is a list of one";
}

TEST_F(PersonCheckTest, TheCallerHearsOneSentenceAndTheLogTheReason) {
  const auto check = make();
  const TokenIssuer impostor(JwtAlgorithm::kEs256), stranger(JwtAlgorithm::kEs256, "k2");
  std::set<std::string> heard;
  std::size_t refusals = 0;
  for (const std::string& bad :
       {token(R"("exp":1)"), token(R"("iss":"other")"), token(R"("aud":"other")"), token(R"("sub":"")"),
        impostor.token("{}"), stranger.token("{}"), std::string("a.b.c")}) {
    const auto refused = check->verify(bad);
    ASSERT_FALSE(refused);
    heard.insert(refused.error().to_string());
    EXPECT_EQ(log_.count("person_refused"), ++refusals);
  }
  EXPECT_EQ(heard.size(), 1U) << "whoever guesses learns nothing";
  for (const char* reason : {"jwt_expired", "jwt_issuer", "jwt_audience", "jwt_bad_claim", "jwt_bad_signature",
                             "jwt_unknown_key", "jwt_malformed"}) {
    EXPECT_TRUE(log_.mentions(reason)) << reason;
  }
}

TEST_F(PersonCheckTest, ATokenIsNeverLogged) {
  const std::string expired = token(R"("exp":1)");
  EXPECT_FALSE(make()->verify(expired));
  const std::string signature = expired.substr(expired.rfind('.') + 1);
  EXPECT_FALSE(log_.mentions(signature));
}

TEST_F(PersonCheckTest, AKnownPersonWithoutARoleIsToldSo) {
  const auto refused = make()->verify(token(R"("groups":["guests"])"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_EQ(refused.error().reason, "no_role");
  EXPECT_TRUE(log_.mentions("person/ann@example"));
}

TEST_F(PersonCheckTest, TheTenantClaimIsNeededWhereItIsSetUp) {
  const auto check = make("tenant");
  EXPECT_EQ(check->verify(token()).error().reason, "no_tenant");
  EXPECT_EQ(check->verify(token(R"("groups":["staff"],"tenant":"acme")"))->shape.tenant, "acme");
  EXPECT_EQ(check->verify(token(R"("groups":["staff"],"tenant":"*")"))->shape.tenant, "");
}

TEST_F(PersonCheckTest, WithoutKeysNobodyIsLetInAndItIsNotTheTokensFault) {
  const auto refused = make({}, false)->verify(token());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace tidegate::billing
