#include "tests/integration/billing/house.h"
#include "tests/support/eventually.h"

namespace tidegate::billing {
namespace {

class Watch : public House {
 protected:
  rpc::StreamReader<v1::AccountsUpdate> watch(rpc::Client<v1::Accounts>& client) {
    v1::WatchAccountsRequest request;
    request.set_gateway_id("g1");
    return client.read_stream(&AccountsApi::Watch, request, Deadline::never());
  }
  static std::optional<v1::AccountsUpdate> next(rpc::StreamReader<v1::AccountsUpdate>& stream,
                                                std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    auto item = stream.read_blocking(Deadline::after(SystemClock().mono(), limit));
    if (!item || !*item) return std::nullopt;
    return **item;
  }
  /// The next update that is not a heartbeat.
  static v1::AccountsUpdate news(rpc::StreamReader<v1::AccountsUpdate>& stream) {
    while (true) {
      auto update = next(stream);
      if (!update) {
        ADD_FAILURE() << "the stream ended or fell silent";
        return {};
      }
      if (update->principals_size() + update->removed_keys_size() + update->prices_size() + update->topped_up_wallets_size() +
              update->removed_prices_size() >
          0) {
        return *update;
      }
    }
  }
};

TEST_F(Watch, BeginsWithEverythingAGatewayNeeds) {
  const auto customer = make_customer("acme", "10");
  auto stream = watch(*accounts_);
  const auto snapshot = next(stream);
  ASSERT_TRUE(snapshot);
  EXPECT_TRUE(snapshot->reset());
  EXPECT_TRUE(snapshot->end_of_snapshot());
  ASSERT_EQ(snapshot->principals_size(), 1);
  const auto& principal = snapshot->principals(0);
  EXPECT_EQ(principal.public_id(), customer.key.key().public_id());
  EXPECT_EQ(principal.key_mac(), as_view(api_key_mac(config_.pepper, customer.key.secret())));
  EXPECT_EQ(principal.wallet_id(), customer.wallet_raw());
  EXPECT_EQ(principal.currency(), "USD");
  EXPECT_EQ(principal.tenant_name(), "acme");
  EXPECT_EQ(snapshot->prices_size(), 2);
  EXPECT_EQ(snapshot->prices(0).sha256().size(), 32u);
  EXPECT_EQ(snapshot->calendars_size(), 1);
  EXPECT_NEAR(static_cast<double>(snapshot->now_us()), static_cast<double>(unix_micros(clock_.wall())), 60e6);
}

TEST_F(Watch, ANewKeyARevocationAndATopUpArriveInTime) {
  const auto customer = make_customer("acme", "10");
  auto stream = watch(*accounts_);
  ASSERT_TRUE(next(stream));

  const auto key_id = customer.key.key().key_id();
  Mono changed = clock_.mono();
  v1::RevokeKeyRequest revoke;
  revoke.set_key_id(customer.key.key().public_id());
  ASSERT_TRUE(admin(&AdminApi::RevokeKey, revoke));
  auto update = news(stream);
  ASSERT_EQ(update.removed_keys_size(), 1);
  EXPECT_EQ(ApiKeyId::from_bytes(update.removed_keys(0))->to_string(), key_id);
  EXPECT_LT(clock_.mono() - changed, std::chrono::seconds(5));

  v1::CreateKeyRequest create;
  create.set_tenant("acme");
  create.set_project("default");
  create.add_models("m");
  const auto made = admin(&AdminApi::CreateKey, create).value();
  update = news(stream);
  ASSERT_EQ(update.principals_size(), 1);
  EXPECT_EQ(update.principals(0).public_id(), made.key().public_id());
  EXPECT_EQ(update.principals(0).models(0), "m");

  v1::TopUpRequest top_up;
  top_up.set_tenant("acme");
  top_up.set_amount("1");
  ASSERT_TRUE(admin(&AdminApi::TopUp, top_up));
  update = news(stream);
  ASSERT_EQ(update.topped_up_wallets_size(), 1);
  EXPECT_EQ(update.topped_up_wallets(0), customer.wallet_raw());

  v1::SuspendTenantRequest suspend;
  suspend.set_tenant_id("acme");
  suspend.set_is_suspended(true);
  ASSERT_TRUE(admin(&AdminApi::SuspendTenant, suspend));
  update = news(stream);
  bool is_suspended = false;
  for (const auto& principal : update.principals()) is_suspended |= principal.is_suspended();
  EXPECT_TRUE(is_suspended);
}

TEST_F(Watch, TheRegionsOfATenantReachGatewaysWithItsKeys) {
  make_customer("acme", "0");
  auto stream = watch(*accounts_);
  ASSERT_TRUE(next(stream));
  v1::SetTenantRegionsRequest set;
  set.set_tenant("acme");
  set.add_regions("us");
  set.add_regions("eu-1");
  const auto tenant = admin(&AdminApi::SetTenantRegions, set);
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  ASSERT_EQ(tenant->regions_size(), 2);
  auto update = news(stream);
  ASSERT_EQ(update.principals_size(), 1);
  ASSERT_EQ(update.principals(0).regions_size(), 2);
  EXPECT_EQ(update.principals(0).regions(0), "eu-1");
  set.clear_regions();
  ASSERT_TRUE(admin(&AdminApi::SetTenantRegions, set));
  update = news(stream);
  ASSERT_EQ(update.principals_size(), 1);
  EXPECT_EQ(update.principals(0).regions_size(), 0) << "anywhere again";
  const auto listed = admin(&AdminApi::ListTenants, v1::ListTenantsRequest()).value();
  for (const auto& one : listed.tenants()) EXPECT_EQ(one.regions_size(), 0) << one.name();
  set.add_regions("No Region");
  EXPECT_EQ(admin(&AdminApi::SetTenantRegions, set).error().reason, "bad_name");
}

TEST_F(Watch, ATenantsShareReachesGateways) {
  make_customer("acme", "0");
  auto stream = watch(*accounts_);
  const auto snapshot = next(stream);
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->principals_size(), 1);
  EXPECT_EQ(snapshot->principals(0).weight(), 1);
  EXPECT_EQ(snapshot->principals(0).tier_max(), "default");
  v1::SetTenantShareRequest share;
  share.set_tenant_id("acme");
  share.set_queue_weight(7);
  share.set_tier_max("priority");
  const auto tenant = admin(&AdminApi::SetTenantShare, share);
  ASSERT_TRUE(tenant);
  EXPECT_EQ(tenant->queue_weight(), 7);
  const auto update = news(stream);
  ASSERT_EQ(update.principals_size(), 1);
  EXPECT_EQ(update.principals(0).weight(), 7);
  EXPECT_EQ(update.principals(0).tier_max(), "priority");
  share.set_queue_weight(0);
  EXPECT_FALSE(admin(&AdminApi::SetTenantShare, share));
}

TEST_F(Watch, EveryFieldOfAKeyIsReadBackAndReachesGateways) {
  make_customer("acme", "0");
  v1::CreateKeyRequest create;
  create.set_tenant("acme");
  create.set_project("default");
  create.set_name("ci");
  create.add_models("m");
  create.add_models("n");
  create.set_expires_us(unix_micros(clock_.wall() + std::chrono::hours(1)));
  const auto made = admin(&AdminApi::CreateKey, create).value();

  v1::ListKeysRequest list;
  list.set_tenant("acme");
  const auto keys = admin(&AdminApi::ListKeys, list).value();
  ASSERT_EQ(keys.keys_size(), 2);
  int found = 0;
  for (const auto& key : keys.keys()) {
    if (key.key_id() != made.key().key_id()) continue;
    ++found;
    EXPECT_EQ(key.name(), "ci");
    ASSERT_EQ(key.models_size(), 2);
    EXPECT_EQ(key.models(1), "n");
    EXPECT_EQ(key.expires_us(), create.expires_us());
  }

  auto stream = watch(*accounts_);
  const auto snapshot = next(stream);
  ASSERT_TRUE(snapshot);
  for (const auto& principal : snapshot->principals()) {
    if (principal.public_id() != made.key().public_id()) continue;
    ++found;
    ASSERT_EQ(principal.models_size(), 2);
    EXPECT_EQ(principal.models(0), "m");
    EXPECT_EQ(principal.expires_us(), create.expires_us());
  }
  EXPECT_EQ(found, 2);
}

TEST_F(Watch, AChangeMadeAtAnotherReplicaArrivesToo) {
  const auto other = start_replica();
  auto channel = rpc::make_channel(other->address(), {.token = config_.cluster_token}).value();
  {
    rpc::Client<v1::Accounts> client(channel);
    auto stream = watch(client);
    ASSERT_TRUE(next(stream));
    const auto customer = make_customer("acme", "0");
    const auto update = news(stream);
    ASSERT_EQ(update.principals_size(), 1);
    EXPECT_EQ(update.principals(0).public_id(), customer.key.key().public_id());
  }
  channel->shut();
  other->stop();
}

TEST_F(Watch, ANewPriceArrivesWithItsCalendars) {
  auto stream = watch(*accounts_);
  ASSERT_TRUE(next(stream));
  ASSERT_TRUE(load_prices_file(R"({"price_books": [{"id": "n", "models": ["n"], "effective_from": "2026-01-01T00:00:00Z",
    "schedules": [{"name": "standard", "default": true, "rates": {"USD": {"input_cache_hit": "0", "input_cache_miss": "1",
    "output": "2"}}}]}]})"));
  const auto update = news(stream);
  // A feed that has just begun may repeat what the snapshot told.
  ASSERT_GE(update.prices_size(), 1);
  EXPECT_EQ(update.prices(update.prices_size() - 1).book(), "n");
  EXPECT_EQ(update.calendars_size(), 1);
}

TEST_F(Watch, AHeartbeatComesEverySecond) {
  auto stream = watch(*accounts_);
  ASSERT_TRUE(next(stream));
  const Mono start = clock_.mono();
  for (int i = 0; i < 3; ++i) {
    const auto beat = next(stream);
    ASSERT_TRUE(beat);
    EXPECT_FALSE(beat->reset());
    EXPECT_GT(beat->now_us(), 0);
  }
  EXPECT_LT(clock_.mono() - start, std::chrono::seconds(8));
}

TEST_F(Watch, NeedsTheClusterToken) {
  auto channel = rpc::make_channel(billing_->address(), {.token = "wrong"}).value();
  {
    rpc::Client<v1::Accounts> client(channel);
    auto stream = watch(client);
    const auto item = stream.read_blocking(soon());
    ASSERT_FALSE(item);
    EXPECT_EQ(item.error().code, Code::kUnauthenticated);
  }
  channel->shut();
  EXPECT_TRUE(test::eventually([&] { return registry_.value("tidegate_billing_watchers") == 0; }));
}

TEST_F(Watch, StoppingEndsTheStreams) {
  auto stream = watch(*accounts_);
  ASSERT_TRUE(next(stream));
  billing_->stop();
  while (next(stream)) {
  }
  const auto item = stream.read_blocking(soon());
  ASSERT_FALSE(item);
  EXPECT_EQ(item.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace tidegate::billing
