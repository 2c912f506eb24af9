// People with tokens of an identity provider, against a billing that serves with a role of its own.
#include <fstream>
#include <set>
#include <utility>

#include "billing/adapters/roles.h"
#include "tests/integration/billing/house.h"
#include "tests/support/temp_dir.h"
#include "tests/support/token_issuer.h"
#include "tidegate/v1/people.grpc.pb.h"

namespace tidegate::billing {
namespace {

using test::TokenIssuer;
using PeopleApi = class v1::People::Stub::async;

/// One caller of the admin services, with whatever token.
class Visitor {
 public:
  Visitor(const std::string& address, const std::string& token)
      : channel_(rpc::make_channel(address, {.token = token}).value()), admin_(channel_), people_(channel_) {}
  ~Visitor() { channel_->shut(); }
  template <typename Request, typename Response>
  Result<Response> ask(rpc::UnaryMethod<AdminApi, Request, Response> method, Request request) {
    return admin_.call_blocking(method, std::move(request), soon());
  }
  Result<v1::Person> who_is(const std::string& token) {
    v1::WhoIsRequest request;
    request.set_token(token);
    return people_.call_blocking(&PeopleApi::WhoIs, std::move(request), soon());
  }

 private:
  std::shared_ptr<rpc::Channel> channel_;
  rpc::Client<v1::BillingAdmin> admin_;
  rpc::Client<v1::People> people_;
};

struct PeopleTest : House {
  explicit PeopleTest(bool has_own_role = true) {
    if (has_own_role) {
      config_.pg_owner_dsn = config_.pg_dsn;
      config_.pg_role = kServeRole;
    }
    write_keys(issuer_);
    config_.oidc_issuer = "https://idp.example";
    config_.oidc_audience = "tidegate";
    config_.oidc_jwks_file = folder_.file("keys.json");
    config_.oidc_role_map = "ops=operator,admins=owner,staff=viewer";
    config_.oidc_tenant_claim = "tenant";
    restart();
  }
  void write_keys(const TokenIssuer& issuer) {
    std::ofstream(folder_.file("keys.json"), std::ios::trunc) << TokenIssuer::set({issuer.jwk()});
  }
  std::string claims(const std::string& group, const std::string& tenant = "*", std::int64_t life_s = 300) {
    return R"({"iss":"https://idp.example","aud":["tidegate"],"sub":"ann","groups":[")" + group + R"("],"tenant":")" +
           tenant + R"(","exp":)" + std::to_string(unix_micros(clock_.wall()) / 1'000'000 + life_s) + "}";
  }
  std::string token(const std::string& group, const std::string& tenant = "*") {
    return issuer_.token(claims(group, tenant));
  }
  static v1::CreateTenantRequest tenant_named(const std::string& name) {
    v1::CreateTenantRequest request;
    request.set_name(name);
    request.set_currency("USD");
    return request;
  }

  test::TempDir folder_;
  TokenIssuer issuer_{JwtAlgorithm::kEs256};
};

TEST_F(PeopleTest, APersonMayWhatTheirGroupMayAndIsAuditedByName) {
  Visitor owner(billing_->address(), token("admins"));
  const auto made = owner.ask(&AdminApi::CreateTenant, tenant_named("acme"));
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(query("SELECT actor FROM audit_entries ORDER BY number DESC LIMIT 1"), "person/ann");
  Visitor viewer(billing_->address(), token("staff"));
  EXPECT_TRUE(viewer.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()));
  const auto refused = viewer.ask(&AdminApi::CreateTenant, tenant_named("globex"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "role_not_allowed");
}

TEST_F(PeopleTest, APersonOfOneTenantSeesThatTenantByItsNameOrItsId) {
  const Customer acme = make_customer("acme", "5");
  make_customer("other", "5");
  for (const std::string& tenant : {std::string("acme"), acme.tenant.tenant_id()}) {
    Visitor owner(billing_->address(), token("admins", tenant));
    const auto tenants = owner.ask(&AdminApi::ListTenants, v1::ListTenantsRequest());
    ASSERT_TRUE(tenants) << tenants.error().to_string();
    ASSERT_EQ(tenants->tenants_size(), 1);
    EXPECT_EQ(tenants->tenants(0).name(), "acme");
    EXPECT_EQ(owner.ask(&AdminApi::CreateTenant, tenant_named("mine")).error().reason, "tenant_not_allowed");
  }
  Visitor nobody(billing_->address(), token("admins", "initech"));
  EXPECT_EQ(nobody.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error().reason, "no_tenant");
  Visitor confused(billing_->address(), token("ops", "acme"));
  EXPECT_EQ(confused.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error().reason, "operator_of_a_tenant");
}

TEST_F(PeopleTest, EveryBadTokenIsTheSameStranger) {
  const TokenIssuer impostor(JwtAlgorithm::kEs256);
  std::set<std::string> heard;
  for (const std::string& bad : {issuer_.token(claims("admins", "*", -3'600)), impostor.token(claims("admins")),
                                 issuer_.token("{}"), std::string("a.b.c")}) {
    Visitor stranger(billing_->address(), bad);
    const auto refused = stranger.ask(&AdminApi::ListTenants, v1::ListTenantsRequest());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kUnauthenticated);
    heard.insert(refused.error().to_string());
  }
  EXPECT_EQ(heard.size(), 1U);
  EXPECT_TRUE(log_.mentions("jwt_expired"));
  EXPECT_TRUE(log_.mentions("jwt_bad_signature"));
}

TEST_F(PeopleTest, AKeyFileThatChangesIsReadWithoutARestart) {
  const TokenIssuer next(JwtAlgorithm::kEdDsa, "k2");
  Visitor before(billing_->address(), token("staff"));
  EXPECT_TRUE(before.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()));
  write_keys(next);
  Visitor after(billing_->address(), next.token(claims("staff")));
  const auto listed = after.ask(&AdminApi::ListTenants, v1::ListTenantsRequest());
  EXPECT_TRUE(listed) << listed.error().to_string();
  EXPECT_FALSE(before.ask(&AdminApi::ListTenants, v1::ListTenantsRequest())) << "its key is gone";
}

TEST_F(PeopleTest, TheClusterLearnsWhoATokenIsOfAndStrangersDoNot) {
  const Customer acme = make_customer("acme", "0");
  Visitor cluster(billing_->address(), config_.cluster_token);
  const auto person = cluster.who_is(token("admins", "acme"));
  ASSERT_TRUE(person) << person.error().to_string();
  EXPECT_EQ(person->actor(), "person/ann");
  EXPECT_EQ(person->role(), v1::ADMIN_ROLE_OWNER);
  EXPECT_EQ(person->tenant_id(), acme.tenant.tenant_id());
  const auto key = cluster.who_is(config_.admin_key);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->role(), v1::ADMIN_ROLE_OPERATOR);
  EXPECT_EQ(key->tenant_id(), "");
  EXPECT_EQ(cluster.who_is("a.b.c").error().reason, "bad_token");
  EXPECT_EQ(cluster.who_is("").error().reason, "missing_token");
  EXPECT_EQ(cluster.who_is(acme.key.secret()).error().reason, "bad_token") << "a tenant's key is no person";
  Visitor person_self(billing_->address(), token("ops"));
  EXPECT_EQ(person_self.who_is(token("ops")).error().code, Code::kUnauthenticated) << "it is the cluster's";
}

struct PeopleOfTheOwnersRightsTest : PeopleTest {
  PeopleOfTheOwnersRightsTest() : PeopleTest(false) {}
};

TEST_F(PeopleOfTheOwnersRightsTest, WithoutARoleOfItsOwnBillingServesNobodyOfOneTenant) {
  make_customer("acme", "0");
  Visitor owner(billing_->address(), token("admins", "acme"));
  EXPECT_EQ(owner.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error().reason, "row_security_off");
  Visitor house(billing_->address(), token("admins"));
  EXPECT_TRUE(house.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()));
}

struct KeysOnlyTest : House {};

TEST_F(KeysOnlyTest, WithoutAnIdentityProviderATokenIsAWrongKey) {
  Visitor person(billing_->address(), TokenIssuer(JwtAlgorithm::kEs256).token("{}"));
  EXPECT_EQ(person.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error().reason, "bad_token");
}

}  // namespace
}  // namespace tidegate::billing
