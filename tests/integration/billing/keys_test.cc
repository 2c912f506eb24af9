// Scopes, sources and rotation of keys: stored, audited, told to gateways.
#include <algorithm>
#include <future>
#include <optional>
#include <vector>

#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

struct KeysTest : House {
  const Customer acme = make_customer("acme", "10");

  Result<v1::CreateKeyResponse> create(std::vector<std::string> scopes, std::vector<std::string> sources) {
    v1::CreateKeyRequest request;
    request.set_tenant("acme");
    request.set_project("default");
    request.set_name("limited");
    request.add_models("m");
    for (auto& scope : scopes) request.add_scopes(std::move(scope));
    for (auto& source : sources) request.add_sources(std::move(source));
    return admin(&AdminApi::CreateKey, request);
  }
  Result<v1::RotateKeyResponse> rotate(const std::string& key, std::chrono::microseconds overlap) {
    v1::RotateKeyRequest request;
    request.set_key_id(key);
    request.set_overlap_us(overlap.count());
    return admin(&AdminApi::RotateKey, request);
  }
  /// What a gateway that connects now hears of a key; nullopt: nothing.
  std::optional<v1::Principal> heard(const std::string& public_id) {
    v1::WatchAccountsRequest request;
    request.set_gateway_id("g1");
    auto stream = accounts_->read_stream(&AccountsApi::Watch, request, Deadline::never());
    while (true) {
      auto update = stream.read_blocking(soon());
      if (!update || !*update) {
        ADD_FAILURE() << "the stream ended before its snapshot";
        return std::nullopt;
      }
      for (const auto& principal : (*update)->principals()) {
        if (principal.public_id() == public_id) return principal;
      }
      if ((*update)->end_of_snapshot()) return std::nullopt;
    }
  }
};

TEST_F(KeysTest, ScopesAndSourcesAreStoredCanonicallyAndReachGateways) {
  const auto made = create({"models", "chat", "chat"}, {"203.0.113.7", "2001:DB8::/32"});
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_EQ(made->key().scopes_size(), 2);
  EXPECT_EQ(made->key().scopes(0), "chat");
  EXPECT_EQ(made->key().scopes(1), "models");
  ASSERT_EQ(made->key().sources_size(), 2);
  EXPECT_EQ(made->key().sources(0), "203.0.113.7/32");
  EXPECT_EQ(made->key().sources(1), "2001:db8::/32");

  v1::ListKeysRequest list;
  list.set_tenant("acme");
  const auto listed = admin(&AdminApi::ListKeys, list);
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->keys(1).sources_size(), 2);

  const auto principal = heard(made->key().public_id());
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->scopes_size(), 2);
  EXPECT_EQ(principal->sources(1), "2001:db8::/32");
}

TEST_F(KeysTest, WhatIsNoScopeOrRangeIsRefusedByName) {
  EXPECT_EQ(create({"chat", "admin"}, {}).error().field, "scopes");
  EXPECT_EQ(create({}, {"10.1.2.3/8"}).error().field, "sources");
  EXPECT_EQ(create({}, {"everywhere"}).error().reason, "bad_ip_range");
  EXPECT_EQ(create({}, std::vector<std::string>(33, "10.0.0.0/8")).error().field, "sources");
}

TEST_F(KeysTest, ATenantMakesSoManyKeysADayAndRotationsAreAmongThem) {
  config_.keys_created_day_max = 3;  // one is the customer's own
  restart();
  const auto made = create({}, {});
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_TRUE(rotate(made->key().public_id(), std::chrono::hours(1)));
  EXPECT_EQ(create({}, {}).error().reason, "too_many_keys");
  const Customer other = make_customer("globex", "10");
  EXPECT_NE(other.key.secret(), "") << "each tenant has its own count";
}

TEST_F(KeysTest, ARevokedKeyMakesRoomForAnother) {
  config_.keys_alive_max = 2;
  restart();
  const auto made = create({}, {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(create({}, {}).error().reason, "too_many_keys");
  EXPECT_EQ(rotate(made->key().public_id(), std::chrono::hours(1)).error().reason, "too_many_keys");
  EXPECT_TRUE(rotate(made->key().public_id(), std::chrono::hours(0))) << "one ends as the other begins";
  v1::RevokeKeyRequest revoke;
  revoke.set_key_id(acme.key.key().public_id());
  ASSERT_TRUE(admin(&AdminApi::RevokeKey, revoke));
  EXPECT_TRUE(create({}, {}));
}

TEST_F(KeysTest, ARotatedKeyLivesOnInItsSuccessorAndEndsAfterTheOverlap) {
  const auto made = create({"chat"}, {"203.0.113.0/24"});
  ASSERT_TRUE(made);
  v1::SetCapRequest cap;
  cap.set_tenant("acme");
  cap.set_key(made->key().public_id());
  cap.set_period("monthly");
  cap.set_amount("3");
  ASSERT_TRUE(budgets(&BudgetApi::SetCap, cap));

  const std::int64_t before = unix_micros(clock_.wall());
  const auto rotated = rotate(made->key().public_id(), std::chrono::hours(24));
  ASSERT_TRUE(rotated) << rotated.error().to_string();
  const v1::ApiKey& successor = rotated->key();
  const v1::ApiKey& old = rotated->replaced();
  EXPECT_NE(successor.key_id(), made->key().key_id());
  EXPECT_EQ(successor.name(), "limited");
  EXPECT_EQ(successor.project_id(), made->key().project_id());
  EXPECT_EQ(successor.models(0), "m");
  EXPECT_EQ(successor.scopes(0), "chat");
  EXPECT_EQ(successor.sources(0), "203.0.113.0/24");
  EXPECT_EQ(successor.expires_us(), 0);
  EXPECT_EQ(successor.replaced_by(), "");
  EXPECT_EQ(parse_api_key(rotated->secret())->public_id, successor.public_id());
  EXPECT_EQ(old.key_id(), made->key().key_id());
  EXPECT_EQ(old.replaced_by(), successor.key_id());
  EXPECT_GE(old.expires_us(), before + 24 * 3'600'000'000LL);
  EXPECT_LE(old.expires_us(), unix_micros(clock_.wall()) + 24 * 3'600'000'000LL);
  EXPECT_EQ(
      query("SELECT count(*) FROM caps WHERE scope = 'key' AND amount = 3 AND subject = '" + successor.key_id() + "'"),
      "1");

  const auto old_heard = heard(old.public_id()), successor_heard = heard(successor.public_id());
  ASSERT_TRUE(old_heard && successor_heard) << "both live on";
  EXPECT_EQ(old_heard->expires_us(), old.expires_us());
  EXPECT_EQ(successor_heard->expires_us(), 0);
  EXPECT_EQ(successor_heard->sources(0), "203.0.113.0/24");
  EXPECT_EQ(query("SELECT count(*) FROM audit_entries WHERE changes LIKE '%" + successor.key_id() +
                  "%' AND changes LIKE '%replaced_by%'"),
            "1")
      << "one transaction, one entry";
  EXPECT_EQ(query("SELECT count(*) FROM audit_entries WHERE changes LIKE '%" + rotated->secret().substr(13, 32) + "%'"),
            "0");
}

TEST_F(KeysTest, AKeyIsRotatedOnceAndOnlyWhileItLives) {
  const std::string key = acme.key.key().key_id();
  const auto first = rotate(key, std::chrono::hours(1));
  ASSERT_TRUE(first);
  const auto again = rotate(key, std::chrono::hours(1));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().reason, "already_rotated");
  EXPECT_NE(again.error().message.find(first->key().key_id()), std::string::npos);
  EXPECT_TRUE(rotate(first->key().key_id(), std::chrono::hours(1))) << "the successor in its turn";

  v1::RevokeKeyRequest revoke;
  const auto made = create({}, {});
  revoke.set_key_id(made->key().key_id());
  ASSERT_TRUE(admin(&AdminApi::RevokeKey, revoke));
  EXPECT_EQ(rotate(made->key().key_id(), std::chrono::hours(1)).error().reason, "key_is_over");
  EXPECT_EQ(rotate("nosuchkey", std::chrono::hours(1)).error().reason, "unknown_key");
  EXPECT_EQ(rotate(made->key().key_id(), std::chrono::hours(-1)).error().code, Code::kFailedPrecondition);
}

TEST_F(KeysTest, OfRotationsAtTheSameTimeOneWins) {
  const std::string key = acme.key.key().key_id();
  std::vector<std::future<bool>> tries;
  for (int i = 0; i < 8; ++i) {
    tries.push_back(std::async(std::launch::async, [&] { return rotate(key, std::chrono::hours(1)).has_value(); }));
  }
  const auto won = std::ranges::count_if(tries, [](auto& one) { return one.get(); });
  EXPECT_EQ(won, 1);
  EXPECT_EQ(query("SELECT count(*) FROM api_keys"), "2");
}

}  // namespace
}  // namespace tidegate::billing
