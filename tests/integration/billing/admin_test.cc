#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

class Admin : public House {};

TEST_F(Admin, NeedsTheAdminKey) {
  for (const std::string& token : {std::string("wrong"), config_.cluster_token, std::string()}) {
    auto channel = rpc::make_channel(billing_->address(), {.token = token}).value();
    rpc::Client<v1::BillingAdmin> client(channel);
    const auto answer = client.call_blocking(&AdminApi::ListTenants, v1::ListTenantsRequest(), soon());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kUnauthenticated);
    channel->shut();
  }
}

TEST_F(Admin, NamesAreUniqueAndChecked) {
  make_customer("acme", "0");
  v1::CreateTenantRequest request;
  request.set_name("acme");
  EXPECT_EQ(admin(&AdminApi::CreateTenant, request).error().reason, "tenant_exists");
  for (const auto* name : {"", "-a", "A", "a b", "a_b", "ä"}) {
    request.set_name(name);
    EXPECT_EQ(admin(&AdminApi::CreateTenant, request).error().field, "name") << name;
  }
  request.set_name("b");
  request.set_billing_tz("Mars/Olympus");
  EXPECT_EQ(admin(&AdminApi::CreateTenant, request).error().field, "billing_tz");
  request.set_billing_tz("Asia/Shanghai");
  request.set_currency("usd");
  EXPECT_EQ(admin(&AdminApi::CreateTenant, request).error().field, "currency");
  request.set_currency("CNY");
  request.set_credit_limit("-1");
  EXPECT_EQ(admin(&AdminApi::CreateTenant, request).error().field, "credit_limit");
  request.set_credit_limit("0");
  EXPECT_TRUE(admin(&AdminApi::CreateTenant, request));

  v1::CreateProjectRequest project;
  project.set_tenant("acme");
  project.set_name("default");
  EXPECT_EQ(admin(&AdminApi::CreateProject, project).error().reason, "project_exists");
  project.set_tenant("nobody");
  EXPECT_EQ(admin(&AdminApi::CreateProject, project).error().reason, "unknown_tenant");
}

TEST_F(Admin, AKeyIsShownOnceAndStoredAsAMac) {
  const auto customer = make_customer("acme", "0");
  const auto parsed = parse_api_key(customer.key.secret());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->public_id, customer.key.key().public_id());
  EXPECT_EQ(query("SELECT count(*) FROM api_keys k WHERE k::text LIKE '%" + customer.key.secret().substr(13, 32) + "%'"), "0");
  EXPECT_FALSE(log_.mentions(customer.key.secret().substr(13, 32)));
  v1::CreateKeyRequest request;
  request.set_tenant("acme");
  request.set_project("default");
  request.set_expires_us(1);
  EXPECT_EQ(admin(&AdminApi::CreateKey, request).error().field, "expires_us");
  request.clear_expires_us();
  request.set_project("none");
  EXPECT_EQ(admin(&AdminApi::CreateKey, request).error().reason, "unknown_project");
}

TEST_F(Admin, RevokingTwiceKeepsTheFirstInstant) {
  const auto customer = make_customer("acme", "0");
  v1::RevokeKeyRequest request;
  request.set_key_id(customer.key.key().key_id());
  const auto first = admin(&AdminApi::RevokeKey, request);
  ASSERT_TRUE(first);
  EXPECT_GT(first->revoked_us(), 0);
  request.set_key_id(customer.key.key().public_id());
  EXPECT_EQ(admin(&AdminApi::RevokeKey, request)->revoked_us(), first->revoked_us());
  request.set_key_id("nosuchkey");
  EXPECT_EQ(admin(&AdminApi::RevokeKey, request).error().reason, "unknown_key");
}

TEST_F(Admin, TheSameTopUpCreditsOnce) {
  const auto customer = make_customer("acme", "0");
  v1::TopUpRequest request;
  request.set_tenant("acme");
  request.set_amount("2.5");
  request.set_top_up_id(ids_.next().to_string());
  request.set_note("invoice 7");
  EXPECT_EQ(admin(&AdminApi::TopUp, request)->balance(), "2.5");
  EXPECT_EQ(admin(&AdminApi::TopUp, request)->balance(), "2.5");
  request.set_amount("3");
  EXPECT_EQ(admin(&AdminApi::TopUp, request).error().reason, "top_up_differs");
  request.clear_top_up_id();
  request.clear_tenant();
  request.set_wallet_id(customer.tenant.wallet_id());
  EXPECT_EQ(admin(&AdminApi::TopUp, request)->balance(), "5.5");
  for (const auto* amount : {"0", "-1", "", "1e3", "0.0000000000001", "x"}) {
    request.set_amount(amount);
    EXPECT_EQ(admin(&AdminApi::TopUp, request).error().field, "amount") << amount;
  }
  expect_reconciled();
}

TEST_F(Admin, ListsArePaged) {
  for (const auto* name : {"a", "b", "c"}) make_customer(name, "0");
  v1::ListTenantsRequest request;
  request.mutable_page()->set_limit(2);
  const auto first = admin(&AdminApi::ListTenants, request);
  ASSERT_EQ(first->tenants_size(), 2);
  request.mutable_page()->set_after(first->tenants(1).tenant_id());
  const auto second = admin(&AdminApi::ListTenants, request);
  ASSERT_EQ(second->tenants_size(), 1);
  EXPECT_EQ(second->tenants(0).name(), "c");
  request.mutable_page()->set_limit(1001);
  EXPECT_EQ(admin(&AdminApi::ListTenants, request).error().field, "page.limit");
  v1::ListKeysRequest keys;
  keys.set_tenant("b");
  EXPECT_EQ(admin(&AdminApi::ListKeys, keys)->keys_size(), 1);
  v1::ListProjectsRequest projects;
  EXPECT_EQ(admin(&AdminApi::ListProjects, projects)->projects_size(), 3);
}

}  // namespace
}  // namespace tidegate::billing
