// Keys of people: what each role and each tenant's key may do, against a billing that serves with a role of its own.
#include <google/protobuf/descriptor.h>

#include <set>

#include "billing/adapters/roles.h"
#include "billing/core/admin_roles.h"
#include "tests/integration/billing/house.h"
#include "tidegate/v1/audit.pb.h"
#include "tidegate/v1/ledger.pb.h"
#include "tidegate/v1/limit.grpc.pb.h"
#include "tidegate/v1/pricing.pb.h"
#include "tidegate/v1/receipt.grpc.pb.h"
#include "tidegate/v1/statement.pb.h"

namespace tidegate::billing {
namespace {

using LimitsApi = class v1::Limits::Stub::async;
using ReceiptsApi = class v1::Receipts::Stub::async;

/// One person with a key of their own.
class Person {
 public:
  Person(const std::string& address, const std::string& secret)
      : channel_(rpc::make_channel(address, {.token = secret}).value()),
        admin_(channel_),
        limits_(channel_),
        receipts_(channel_) {}
  ~Person() { channel_->shut(); }
  template <typename Request, typename Response>
  Result<Response> ask(rpc::UnaryMethod<AdminApi, Request, Response> method, Request request) {
    return admin_.call_blocking(method, std::move(request), soon());
  }
  template <typename Request, typename Response>
  Result<Response> limits(rpc::UnaryMethod<LimitsApi, Request, Response> method, Request request) {
    return limits_.call_blocking(method, std::move(request), soon());
  }
  template <typename Request, typename Response>
  Result<Response> receipts(rpc::UnaryMethod<ReceiptsApi, Request, Response> method, Request request) {
    return receipts_.call_blocking(method, std::move(request), soon());
  }

 private:
  std::shared_ptr<rpc::Channel> channel_;
  rpc::Client<v1::BillingAdmin> admin_;
  rpc::Client<v1::Limits> limits_;
  rpc::Client<v1::Receipts> receipts_;
};

struct AdminKeyTest : House {
  AdminKeyTest() {
    config_.pg_owner_dsn = config_.pg_dsn;
    config_.pg_role = kServeRole;
    restart();
  }
  static v1::CreateAdminKeyRequest wish(v1::AdminRole role, const std::string& tenant = "") {
    v1::CreateAdminKeyRequest request;
    request.set_role(role);
    request.set_tenant(tenant);
    request.set_name("test");
    return request;
  }
  v1::CreateAdminKeyResponse make(v1::AdminRole role, const std::string& tenant = "") {
    const auto made = admin(&AdminApi::CreateAdminKey, wish(role, tenant));
    EXPECT_TRUE(made) << made.error().to_string();
    return made.value_or(v1::CreateAdminKeyResponse());
  }
  std::unique_ptr<Person> person(v1::AdminRole role, const std::string& tenant = "") {
    return std::make_unique<Person>(billing_->address(), make(role, tenant).secret());
  }
  static v1::TopUpRequest top_up(const std::string& tenant) {
    v1::TopUpRequest request;
    request.set_tenant(tenant);
    request.set_amount("1");
    return request;
  }
};

TEST_F(AdminKeyTest, EveryMethodOfEveryAdminServiceHasItsRow) {
  std::set<std::string> rows, methods;
  for (const MethodRule& rule : method_rules()) rows.insert(std::string(rule.method));
  for (const auto* file : {v1::CreateTenantRequest::descriptor()->file(), v1::SetCapRequest::descriptor()->file(),
                           v1::SetLimitRequest::descriptor()->file(), v1::AdjustRequest::descriptor()->file(),
                           v1::Issuer::descriptor()->file(), v1::WithdrawPriceRequest::descriptor()->file(),
                           v1::GetReceiptRequest::descriptor()->file(), v1::ListAuditRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      const auto* service = file->service(s);
      if (service->name() == "ReceiptLookup") continue;  // the gateways'
      for (int m = 0; m < service->method_count(); ++m) {
        EXPECT_TRUE(methods.insert(service->method(m)->name()).second)
            << service->method(m)->full_name() << ": a name twice";
      }
    }
  }
  EXPECT_EQ(rows, methods) << "add the method to kTable in billing/core/admin_roles.cc";
}

TEST_F(AdminKeyTest, ARoleOpensWhatItIsForAndIsAuditedAsItself) {
  make_customer("acme", "0");
  const auto money = make(v1::ADMIN_ROLE_BILLING);
  Person accountant(billing_->address(), money.secret());
  EXPECT_TRUE(accountant.ask(&AdminApi::TopUp, top_up("acme")));
  EXPECT_EQ(query("SELECT actor FROM audit_entries ORDER BY number DESC LIMIT 1"), "admin/" + money.key().public_id());

  v1::CreateProjectRequest project;
  project.set_tenant("acme");
  project.set_name("second");
  const auto refused = accountant.ask(&AdminApi::CreateProject, project);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_EQ(refused.error().reason, "role_not_allowed");
  EXPECT_NE(refused.error().message.find("developer"), std::string::npos);

  auto developer = person(v1::ADMIN_ROLE_DEVELOPER);
  EXPECT_TRUE(developer->ask(&AdminApi::CreateProject, project));
  EXPECT_EQ(developer->ask(&AdminApi::TopUp, top_up("acme")).error().reason, "role_not_allowed");

  auto viewer = person(v1::ADMIN_ROLE_VIEWER);
  EXPECT_TRUE(viewer->ask(&AdminApi::ListTenants, v1::ListTenantsRequest()));
  EXPECT_EQ(viewer->ask(&AdminApi::CreateProject, project).error().reason, "role_not_allowed");
  EXPECT_EQ(viewer->ask(&AdminApi::ListAdminKeys, v1::ListAdminKeysRequest()).error().reason, "role_not_allowed");
  EXPECT_GE(registry_.value("tidegate_billing_admin_refusals_total"), 4);
}

TEST_F(AdminKeyTest, ATenantsKeySeesAndChangesThatTenantOnly) {
  const Customer acme = make_customer("acme", "5"), other = make_customer("other", "5");
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(other, epoch, "1")).value();
  ASSERT_TRUE(submit(make_batch(epoch, {make_event(other, lease, 1)})));
  auto owner = person(v1::ADMIN_ROLE_OWNER, "acme");

  const auto tenants = owner->ask(&AdminApi::ListTenants, v1::ListTenantsRequest());
  ASSERT_TRUE(tenants) << tenants.error().to_string();
  ASSERT_EQ(tenants->tenants_size(), 1);
  EXPECT_EQ(tenants->tenants(0).name(), "acme");
  const auto keys = owner->ask(&AdminApi::ListKeys, v1::ListKeysRequest());
  ASSERT_EQ(keys->keys_size(), 1);
  EXPECT_EQ(keys->keys(0).tenant_id(), acme.tenant.tenant_id());
  EXPECT_EQ(owner->ask(&AdminApi::ListWallets, v1::ListWalletsRequest())->wallets_size(), 1);
  EXPECT_EQ(owner->ask(&AdminApi::ListUsage, v1::ListUsageRequest())->rows_size(), 0);
  EXPECT_EQ(owner->ask(&AdminApi::SumUsage, v1::SumUsageRequest())->sums_size(), 0);

  v1::ListKeysRequest foreign;
  foreign.set_tenant("other");
  EXPECT_EQ(owner->ask(&AdminApi::ListKeys, foreign).error().reason, "unknown_tenant");
  v1::RevokeKeyRequest revoke;
  revoke.set_key_id(other.key.key().key_id());
  EXPECT_EQ(owner->ask(&AdminApi::RevokeKey, revoke).error().reason, "unknown_key");
  v1::RotateKeyRequest rotate;
  rotate.set_key_id(other.key.key().public_id());
  EXPECT_EQ(owner->ask(&AdminApi::RotateKey, rotate).error().reason, "unknown_key");
  EXPECT_EQ(query("SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL OR replaced_by IS NOT NULL"), "0");
  v1::GetReceiptRequest receipt;
  receipt.set_request_id(query("SELECT id FROM usage_log"));
  EXPECT_EQ(owner->receipts(&ReceiptsApi::GetReceipt, receipt).error().reason, "unknown_request");

  v1::CreateKeyRequest create;
  create.set_tenant("acme");
  create.set_project("default");
  const auto made = owner->ask(&AdminApi::CreateKey, create);
  ASSERT_TRUE(made) << made.error().to_string();
  rotate.set_key_id(made->key().key_id());
  const auto rotated = owner->ask(&AdminApi::RotateKey, rotate);
  EXPECT_TRUE(rotated) << rotated.error().to_string();
  EXPECT_EQ(owner->ask(&AdminApi::TopUp, top_up("acme")).error().reason, "tenant_not_allowed")
      << "money comes from the house";
}

TEST_F(AdminKeyTest, ATenantsKeyListsItsRateLimitsAndLiftsNone) {
  const auto of_tenant = [](const std::string& tenant) {
    v1::SetLimitRequest request;
    request.set_tenant(tenant);
    request.set_requests_per_minute(5);
    return request;
  };
  auto developer = person(v1::ADMIN_ROLE_DEVELOPER);
  v1::RemoveLimitRequest removal;
  for (const char* tenant : {"acme", "globex"}) {
    make_customer(tenant, "0");
    const auto limit = developer->limits(&LimitsApi::SetLimit, of_tenant(tenant));
    ASSERT_TRUE(limit) << limit.error().to_string();
    removal.set_limit_id(limit->limit_id());
  }
  auto owner = person(v1::ADMIN_ROLE_OWNER, "acme");
  const auto listed = owner->limits(&LimitsApi::ListLimits, v1::ListLimitsRequest());
  ASSERT_TRUE(listed) << listed.error().to_string();
  ASSERT_EQ(listed->limits_size(), 1);
  EXPECT_EQ(listed->limits(0).tenant_name(), "acme");
  EXPECT_EQ(owner->limits(&LimitsApi::SetLimit, of_tenant("acme")).error().reason, "tenant_not_allowed");
  EXPECT_EQ(owner->limits(&LimitsApi::RemoveLimit, removal).error().reason, "tenant_not_allowed");
  auto viewer = person(v1::ADMIN_ROLE_VIEWER);
  EXPECT_EQ(viewer->limits(&LimitsApi::SetLimit, of_tenant("acme")).error().reason, "role_not_allowed");
  EXPECT_TRUE(developer->limits(&LimitsApi::RemoveLimit, removal));
}

TEST_F(AdminKeyTest, NobodyMakesAKeyWithMoreRightsThanTheOwn) {
  make_customer("acme", "0");
  make_customer("other", "0");
  auto owner = person(v1::ADMIN_ROLE_OWNER, "acme");
  EXPECT_TRUE(owner->ask(&AdminApi::CreateAdminKey, wish(v1::ADMIN_ROLE_VIEWER, "acme")));
  EXPECT_EQ(owner->ask(&AdminApi::CreateAdminKey, wish(v1::ADMIN_ROLE_VIEWER)).error().reason, "tenant_not_allowed");
  EXPECT_EQ(owner->ask(&AdminApi::CreateAdminKey, wish(v1::ADMIN_ROLE_VIEWER, "other")).error().reason,
            "unknown_tenant");
  EXPECT_EQ(owner->ask(&AdminApi::CreateAdminKey, wish(v1::ADMIN_ROLE_OPERATOR, "acme")).error().reason, "bad_role");
  auto house = person(v1::ADMIN_ROLE_OWNER);
  EXPECT_EQ(house->ask(&AdminApi::CreateAdminKey, wish(v1::ADMIN_ROLE_OPERATOR)).error().reason, "role_not_allowed");
  EXPECT_EQ(admin(&AdminApi::CreateAdminKey, wish(v1::ADMIN_ROLE_UNSPECIFIED)).error().field, "role");
  v1::RevokeAdminKeyRequest revoke;
  revoke.set_key_id(make(v1::ADMIN_ROLE_OPERATOR).key().key_id());
  EXPECT_EQ(house->ask(&AdminApi::RevokeAdminKey, revoke).error().reason, "role_not_allowed");
  EXPECT_EQ(owner->ask(&AdminApi::RevokeAdminKey, revoke).error().reason, "unknown_key");
}

TEST_F(AdminKeyTest, ARevokedAnExpiredAndAWrongKeyAreTheSameStranger) {
  const auto made = make(v1::ADMIN_ROLE_VIEWER);
  Person viewer(billing_->address(), made.secret());
  ASSERT_TRUE(viewer.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()));
  v1::RevokeAdminKeyRequest revoke;
  revoke.set_key_id(made.key().public_id());
  const auto first = admin(&AdminApi::RevokeAdminKey, revoke);
  ASSERT_TRUE(first);
  EXPECT_GT(first->revoked_us(), 0);
  EXPECT_EQ(admin(&AdminApi::RevokeAdminKey, revoke)->revoked_us(), first->revoked_us());
  const Error stranger = viewer.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error();
  EXPECT_EQ(stranger.code, Code::kUnauthenticated);

  const auto other = make(v1::ADMIN_ROLE_VIEWER);
  force("UPDATE admin_keys SET expires_at = now() - interval '1 second' WHERE public_id = '" + other.key().public_id() +
        "'");
  Person late(billing_->address(), other.secret());
  EXPECT_EQ(late.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error(), stranger);
  Person unknown(billing_->address(), mint_api_key(entropy_, KeyKind::kAdmin).text);
  EXPECT_EQ(unknown.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error(), stranger);
  Person tenant(billing_->address(), mint_api_key(entropy_, KeyKind::kTenant).text);
  EXPECT_EQ(tenant.ask(&AdminApi::ListTenants, v1::ListTenantsRequest()).error().code, Code::kUnauthenticated);
}

TEST_F(AdminKeyTest, SecretsAreStoredAsMacsAndNeverLogged) {
  const auto made = make(v1::ADMIN_ROLE_OWNER);
  const std::string secret = made.secret().substr(13, 32);
  EXPECT_EQ(query("SELECT count(*) FROM admin_keys k WHERE k::text LIKE '%" + secret + "%'"), "0");
  EXPECT_EQ(query(R"(SELECT count(*) FROM audit_entries WHERE changes LIKE '%"mac"%' AND changes LIKE '%admin_keys%')"),
            "0");
  EXPECT_FALSE(log_.mentions(secret));
}

struct OwnRightsTest : House {};

TEST_F(OwnRightsTest, WithoutARoleOfItsOwnBillingTakesNoTenantsKey) {
  make_customer("acme", "0");
  v1::CreateAdminKeyRequest request;
  request.set_role(v1::ADMIN_ROLE_VIEWER);
  request.set_tenant("acme");
  const auto made = admin(&AdminApi::CreateAdminKey, request);
  ASSERT_TRUE(made);
  Person viewer(billing_->address(), made->secret());
  const auto refused = viewer.ask(&AdminApi::ListTenants, v1::ListTenantsRequest());
  ASSERT_FALSE(refused) << "every tenant would have been shown";
  EXPECT_EQ(refused.error().reason, "row_security_off");
}

}  // namespace
}  // namespace tidegate::billing
