#include "tests/integration/billing/house.h"
#include "tests/support/eventually.h"
#include "tidegate/v1/limit.grpc.pb.h"

namespace tidegate::billing {
namespace {

using LimitApi = class v1::Limits::Stub::async;

struct RateLimitTest : House {
  RateLimitTest() {
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    channel = rpc::make_channel(billing_->address(), options).value();
    client = std::make_unique<rpc::Client<v1::Limits>>(channel);
  }
  ~RateLimitTest() override { channel->shut(); }

  template <typename Request, typename Response>
  Result<Response> limits(rpc::UnaryMethod<LimitApi, Request, Response> method, Request request) {
    return client->call_blocking(method, std::move(request), soon());
  }
  static v1::SetLimitRequest wish(std::int64_t rpm, std::int64_t tpm = 0) {
    v1::SetLimitRequest request;
    request.set_tenant("acme");
    request.set_requests_per_minute(rpm);
    request.set_tokens_per_minute(tpm);
    return request;
  }
  v1::RateLimit set(const v1::SetLimitRequest& request) {
    const auto made = limits(&LimitApi::SetLimit, request);
    EXPECT_TRUE(made) << made.error().to_string();
    return made.value_or(v1::RateLimit());
  }
  v1::ListLimitsResponse list(bool with_removed = false) {
    v1::ListLimitsRequest request;
    request.set_tenant("acme");
    request.set_include_removed(with_removed);
    return limits(&LimitApi::ListLimits, request).value();
  }
  Result<v1::RateLimit> remove(const std::string& limit_id) {
    v1::RemoveLimitRequest request;
    request.set_limit_id(limit_id);
    return limits(&LimitApi::RemoveLimit, request);
  }

  std::shared_ptr<rpc::Channel> channel;
  std::unique_ptr<rpc::Client<v1::Limits>> client;
};

TEST_F(RateLimitTest, TheSameSubjectAndModelIsTheSameLimit) {
  const auto acme = make_customer("acme", "0");
  const auto whole = set(wish(600, 200'000));
  EXPECT_EQ(whole.scope(), "tenant");
  EXPECT_EQ(whole.subject(), "");
  auto of_project = wish(10);
  of_project.set_project("default");
  of_project.set_model("m");
  of_project.set_concurrency(4);
  const auto project = set(of_project);
  EXPECT_EQ(project.subject_name(), "default");
  auto of_key = wish(5);
  of_key.set_key(acme.key.key().public_id());
  const auto key = set(of_key);
  EXPECT_EQ(key.subject(), acme.key.key().key_id());

  const auto again = set(wish(900));
  EXPECT_EQ(again.limit_id(), whole.limit_id());
  EXPECT_EQ(again.tokens_per_minute(), 0) << "all four are replaced";
  auto of_model = wish(1);
  of_model.set_model("m");
  EXPECT_NE(set(of_model).limit_id(), whole.limit_id());
  EXPECT_EQ(list().limits_size(), 4);
}

TEST_F(RateLimitTest, ARemovedLimitIsListedOnlyWhenAskedForAndANewOneIsAnother) {
  make_customer("acme", "0");
  const auto limit = set(wish(5));
  ASSERT_TRUE(remove(limit.limit_id()));
  ASSERT_TRUE(remove(limit.limit_id())) << "twice is once";
  EXPECT_EQ(list().limits_size(), 0);
  ASSERT_EQ(list(true).limits_size(), 1);
  EXPECT_GT(list(true).limits(0).removed_us(), 0);
  EXPECT_NE(set(wish(5)).limit_id(), limit.limit_id());
  EXPECT_EQ(remove("x").error().reason, "bad_id");
  EXPECT_EQ(remove("01990000-0000-7000-8000-000000000001").error().reason, "unknown_limit");
}

TEST_F(RateLimitTest, ARotatedKeysSuccessorHasItsLimits) {
  const auto acme = make_customer("acme", "0");
  auto of_key = wish(5, 900);
  of_key.set_key(acme.key.key().public_id());
  of_key.set_model("m");
  of_key.set_concurrency(2);
  set(of_key);
  auto ended = wish(1);
  ended.set_key(acme.key.key().public_id());
  ASSERT_TRUE(remove(set(ended).limit_id()));

  v1::RotateKeyRequest request;
  request.set_key_id(acme.key.key().key_id());
  request.set_overlap_us(3'600'000'000);
  const auto rotated = admin(&AdminApi::RotateKey, request);
  ASSERT_TRUE(rotated) << rotated.error().to_string();
  const auto listed = list();
  ASSERT_EQ(listed.limits_size(), 2) << "the old key's go on for the overlap; what was removed is not copied";
  const v1::RateLimit& copy = listed.limits(listed.limits(0).subject() == rotated->key().key_id() ? 0 : 1);
  EXPECT_EQ(copy.subject(), rotated->key().key_id());
  EXPECT_EQ(copy.scope(), "key");
  EXPECT_EQ(copy.model(), "m");
  EXPECT_EQ(copy.requests_per_minute(), 5);
  EXPECT_EQ(copy.tokens_per_minute(), 900);
  EXPECT_EQ(copy.concurrency(), 2);
  EXPECT_EQ(query("SELECT count(*) FROM changes WHERE kind = 'limit' AND ref = '" + copy.limit_id() + "'"), "1")
      << "gateways are told";
}

TEST_F(RateLimitTest, RequestsThatMakeNoSenseAreRefusedByName) {
  make_customer("acme", "0");
  EXPECT_EQ(limits(&LimitApi::SetLimit, wish(0)).error().reason, "bad_limit");
  EXPECT_EQ(limits(&LimitApi::SetLimit, wish(-1)).error().field, "requests_per_minute");
  auto both = wish(1);
  both.set_project("default");
  both.set_key("k");
  EXPECT_EQ(limits(&LimitApi::SetLimit, both).error().field, "project");
  auto unknown = wish(1);
  unknown.set_key("nokey123");
  EXPECT_EQ(limits(&LimitApi::SetLimit, unknown).error().reason, "unknown_key");
  auto model = wish(1);
  model.set_model("no model");
  EXPECT_EQ(limits(&LimitApi::SetLimit, model).error().field, "model");
  EXPECT_EQ(list().limits_size(), 0);
}

TEST_F(RateLimitTest, GatewaysHearOfLimitsInTheSnapshotAndOfEveryChange) {
  const auto acme = make_customer("acme", "0");
  const auto first = set(wish(600));
  v1::WatchAccountsRequest request;
  request.set_gateway_id("g1");
  auto stream = accounts_->read_stream(&AccountsApi::Watch, request, Deadline::never());
  const auto next = [&]() -> v1::AccountsUpdate {
    auto item = stream.read_blocking(soon());
    if (item && *item) return **item;
    ADD_FAILURE() << "the stream ended or fell silent";
    return {};
  };
  const auto snapshot = next();
  ASSERT_EQ(snapshot.limits_size(), 1);
  EXPECT_EQ(Uuid::from_bytes(snapshot.limits(0).limit_id())->to_string(), first.limit_id());
  EXPECT_EQ(snapshot.limits(0).scope(), v1::LIMIT_SCOPE_TENANT);
  EXPECT_EQ(snapshot.limits(0).requests_per_minute(), 600);
  EXPECT_TRUE(Uuid::from_bytes(snapshot.limits(0).subject())->is_nil());

  auto of_project = wish(10);
  of_project.set_project("default");
  of_project.set_model("m");
  of_project.set_tokens_per_day(1'000'000);
  of_project.set_concurrency(3);
  const auto second = set(of_project);
  // A feed that has just begun may repeat what the snapshot told.
  const auto told = [&](const std::string& limit_id) {
    for (int i = 0; i < 20; ++i) {
      const auto update = next();
      for (const auto& limit : update.limits()) {
        if (Uuid::from_bytes(limit.limit_id())->to_string() == limit_id) return limit;
      }
    }
    ADD_FAILURE() << "never told";
    return v1::RateLimitRule();
  };
  const auto rule = told(second.limit_id());
  EXPECT_EQ(rule.scope(), v1::LIMIT_SCOPE_PROJECT);
  EXPECT_EQ(Uuid::from_bytes(rule.subject())->to_string(), acme.project.project_id());
  EXPECT_EQ(rule.model(), "m");
  EXPECT_EQ(rule.tokens_per_day(), 1'000'000);
  EXPECT_EQ(rule.concurrency(), 3);

  ASSERT_TRUE(remove(first.limit_id()));
  bool is_removed = false;
  for (int i = 0; i < 20 && !is_removed; ++i) {
    const auto update = next();
    for (const auto& raw : update.removed_limits()) is_removed |= Uuid::from_bytes(raw)->to_string() == first.limit_id();
  }
  EXPECT_TRUE(is_removed);
}

TEST_F(RateLimitTest, EveryChangeIsInTheAuditLog) {
  make_customer("acme", "0");
  const auto before = std::stoll(query("SELECT count(*) FROM audit_entries"));
  const auto limit = set(wish(600));
  set(wish(700));
  ASSERT_TRUE(remove(limit.limit_id()));
  EXPECT_EQ(std::stoll(query("SELECT count(*) FROM audit_entries")), before + 3);
  EXPECT_EQ(query("SELECT count(*) FROM audit_entries WHERE actor LIKE 'admin/%' AND changes LIKE '%rate_limits%'"), "3");
}

/// As deploy/up makes it: the serving role owns nothing.
TEST_F(RateLimitTest, TheServingRoleSetsLimitsAndDeletesNone) {
  config_.pg_owner_dsn = config_.pg_dsn;
  config_.pg_role = "tidegate_serve";
  channel->shut();
  restart();
  rpc::ChannelOptions options;
  options.token = config_.admin_key;
  channel = rpc::make_channel(billing_->address(), options).value();
  client = std::make_unique<rpc::Client<v1::Limits>>(channel);
  make_customer("acme", "0");
  const auto limit = set(wish(5));
  EXPECT_TRUE(remove(limit.limit_id()));
}

}  // namespace
}  // namespace tidegate::billing
